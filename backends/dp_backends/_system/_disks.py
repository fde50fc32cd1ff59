"""Facts about disks: names made durable, errors with a meaning."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import AbstractContextManager, suppress
from typing import Final, final

from dp_core import AccessDeniedError, BackendError, BackendUnavailableError

__all__ = ["explained", "fsync", "fsync_directory", "opened_directory"]

_FULL_FSYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)


def fsync(fd: int) -> None:
    """Make a file's bytes, or a directory's names, survive a power cut."""
    if _FULL_FSYNC is None:
        os.fsync(fd)
    else:  # pragma: no cover - not on Linux
        # On macOS fsync(2) leaves them in the cache of the disk.
        fcntl.fcntl(fd, _FULL_FSYNC)


def opened_directory(path: str) -> AbstractContextManager[int]:
    """Hold a directory open, so that making it durable cannot fail for want of it."""
    return _OpenedDirectory(path)


@final
class _OpenedDirectory(AbstractContextManager[int]):
    """The context of `opened_directory`."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        return self._fd

    def __exit__(self, *error: object) -> None:
        # An error here takes nothing back: the names were fsynced before.
        with suppress(OSError):
            os.close(self._fd)


def fsync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    with opened_directory(path) as fd:
        fsync(fd)


_MEANINGS: Final[dict[int, tuple[type[BackendError], str]]] = {
    errno.ENOENT: (BackendUnavailableError, "it is gone; was its directory removed?"),
    errno.ENOSPC: (
        BackendUnavailableError,
        "the disk is full; free some space",
    ),
    errno.EDQUOT: (BackendUnavailableError, "the disk quota is used up"),
    errno.EFBIG: (
        BackendUnavailableError,
        "it is too large for a limit of the size of files; raise it (ulimit -f)",
    ),
    errno.EROFS: (BackendUnavailableError, "the file system is read-only"),
    errno.EMFILE: (
        BackendUnavailableError,
        "this process has too many open files; raise its limit (ulimit -n)",
    ),
    errno.ENFILE: (BackendUnavailableError, "the system has too many open files"),
    errno.EACCES: (AccessDeniedError, "permission denied; check owner and mode"),
    errno.EPERM: (AccessDeniedError, "not permitted; check owner and mode"),
    errno.ENOTDIR: (
        BackendUnavailableError,
        "a part of the path is not a directory; name another path",
    ),
    errno.ELOOP: (AccessDeniedError, "a symbolic link where none may be"),
}


def explained(doing: str) -> AbstractContextManager[None]:
    """
    Turn an OSError into a BackendError which means that nothing was changed.

    Args:
        doing: The attempted action, for the message: "open the store X".

    Raises:
        BackendError: In place of any OSError.
    """
    return _Meant(doing)


@final
class _Meant(AbstractContextManager[None]):
    """The context of `explained`; by `contextmanager` it would cost a system call."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, OSError):
            meant, meaning = _MEANINGS.get(
                error.errno or 0,
                (BackendUnavailableError, error.strerror or str(error)),
            )
            raise meant(f"cannot {self._doing}: {meaning}") from error
