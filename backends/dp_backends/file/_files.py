"""
The system calls that the protocol is made of, and the meaning of their errors.

Everything here blocks, and belongs into a worker thread.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager, suppress
from typing import Final, final

from dp_backends._system import explained as explained_os
from dp_backends._system import fsync
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    CorruptPromiseError,
)

__all__ = [
    "Content",
    "NoHardLinkError",
    "explained",
    "is_full",
    "link",
    "make_directory",
    "read_file",
    "remove",
    "write_new_file",
]

Content = tuple[bytes, int]
"""A file's bytes, and how many names it has."""

# Not blocking: somebody may have put a pipe there.
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def read_file(path: str) -> Content | None:
    """
    Return the content of the file at *path*, or None if there is none.

    Raises:
        AccessDeniedError: Somebody else wrote it: its directory is not, or was not,
            as private as it was when the store was opened.
        BackendError: It cannot be read, which says nothing about other files.
        CorruptPromiseError: It is a directory, a pipe, or a device; or it is very
            large, and no record of ours.
        OSError: The store cannot be read.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in _OF_ONE_FILE:
            with explained_os(f"read {path}"):
                raise
        raise


_OF_ONE_FILE: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,  # It is a symbolic link.
        errno.ENXIO,  # It is a socket.
        errno.EIO,
        errno.EBADMSG,
        errno.ENODATA,
        getattr(errno, "EUCLEAN", errno.EIO),  # Of Linux.
    }
)
"""Errors of a file, when its directory could be read."""

_LARGE: Final = 1 << 24
"""The size in bytes from which on a file is not read before its end was looked at."""

_END: Final = b'"\n}\n'
"""The last bytes of every record."""


def _read(path: str) -> Content:
    fd = os.open(path, _READ)
    try:
        status = os.fstat(fd)
        if status.st_uid not in (os.geteuid(), 0):
            raise AccessDeniedError(
                f"the file {path} belongs to user {status.st_uid}, you are "
                f"{os.geteuid()}; what others have written is not believed"
            )
        if not stat.S_ISREG(status.st_mode):
            raise CorruptPromiseError(
                f"{path} is not a file; remove it, or restore it from a backup"
            )
        size = status.st_size
        if size > _LARGE and os.pread(fd, len(_END), size - len(_END)) != _END:
            # A damaged disk makes files of any size, which no memory would hold.
            raise CorruptPromiseError(
                f"the record {path} is damaged ({size:,} bytes without an end); "
                "restore it from a backup, or dispose of the promise"
            )
        chunks = []
        # One byte more than the size, so that one read usually finds the end.
        while chunk := os.read(fd, size + 1):
            chunks.append(chunk)
        return b"".join(chunks), status.st_nlink
    finally:
        os.close(fd)


def write_new_file(path: str, data: bytes) -> None:
    """
    Write a file under a name that is new, and make its content durable.

    On any error the file is gone again. In particular fsync is never called
    twice on one file: after a failure the kernel may report success without
    having written anything (Rebello et al., USENIX ATC 2020).
    """
    fd = os.open(path, _NEW, 0o600)
    try:
        try:
            if stat.S_IMODE(os.fstat(fd).st_mode) != 0o600:
                # A umask may take away the owner's own rights.
                os.fchmod(fd, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        remove(path)
        raise


def make_directory(path: str) -> bool:
    """Make a directory for its owner alone; return False if it is there already."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return False
    # Not by the mode above: a umask may take away the owner's own rights.
    if stat.S_IMODE(os.stat(path).st_mode) & 0o777 != 0o700:
        os.chmod(path, 0o700)
    return True


class NoHardLinkError(OSError):
    """The error of a link(2) that can only mean that there are no hard links."""


def link(old: str, new: str) -> None:
    """
    Give a file a second name.

    Raises:
        NoHardLinkError: Hard links do not work here.
        OSError: There is such a name, or the disk is full or fails.
    """
    try:
        os.link(old, new)
    except OSError as error:
        # An open set: EPERM, EACCES, EMLINK, ENOSYS, ENOTSUP and EXDEV were seen. Who
        # could write the file may write into its directory.
        if error.errno in _NOT_OF_LINKS:
            raise
        raise NoHardLinkError(error.errno, error.strerror) from error


_NOT_OF_LINKS: Final = frozenset(
    {errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
)


def remove(path: str) -> None:
    """Remove a file if that is possible; the janitor removes what stays."""
    with suppress(OSError):
        os.unlink(path)


def explained(doing: str) -> AbstractContextManager[None]:
    """
    Turn an OSError into a BackendError which means that nothing was changed.

    The context may be entered again and again, by several threads at once.

    Args:
        doing: The attempted action, for the message: "open the store X".

    Raises:
        BackendError: In place of any OSError.
    """
    return _Attempt(doing)


@final
class _Attempt(AbstractContextManager[None]):
    """The context of `explained`; by `contextmanager` it would cost a system call."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: object
    ) -> None:
        if isinstance(error, NoHardLinkError):
            name = errno.errorcode.get(error.errno or 0, str(error.errno))
            raise BackendUnavailableError(
                f"cannot {self._doing}: hard links do not work here ({name}: "
                f"{error.strerror}); use a local file system that has them (ext4, "
                "xfs, btrfs, apfs), or `dp serve` and http:"
            ) from error
        if isinstance(error, OSError):
            with explained_os(self._doing):
                raise error


def is_full(error: BaseException) -> bool:
    """Tell whether an error of `explained` means that there is no room left."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
