"""`ReplacedFile`: what a file holds, read again when it was replaced."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar, final

from anyio import to_thread

from dp_core._errors import AccessDeniedError
from dp_core.server._observing import Notices

__all__ = ["AGAIN_SECONDS", "LOOK_SECONDS", "ReplacedFile"]

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""The longest time for which what was replaced is good."""

AGAIN_SECONDS: Final = 0.05
"""The time after which a wrong token makes us look at the file again."""

_Version: TypeAlias = tuple[int, ...]


@final
class ReplacedFile(Generic[T]):
    """
    A file of secrets.

    Args:
        path: Its path.
        read: Returns what it holds.
        kind: Names it in the log.
        notices: The log.

    Attributes:
        value: What it held when it was read last.

    Raises:
        AccessDeniedError: It cannot be read.
    """

    def __init__(
        self, path: str, read: Callable[[str], T], kind: str, notices: Notices
    ) -> None:
        self._path = path
        self._read = read
        self._kind = kind
        self._notices = notices
        self._version = _version(path)
        self._looked = time.monotonic()
        self.value: T = read(path)

    async def look(self, seconds: float) -> bool:
        """
        Look whether it was replaced, unless that was done; return whether it was.

        Args:
            seconds: How long ago the last look may be.
        """
        now = time.monotonic()
        if now - self._looked < seconds:
            return False
        self._looked = now
        return await to_thread.run_sync(self._read_again)

    def _read_again(self) -> bool:
        try:
            version = _version(self._path)
            if version == self._version:
                return False
            self.value = self._read(self._path)
        except (OSError, ValueError, AccessDeniedError) as error:
            reason = str(error)
            self._notices.tell(
                (self._kind,),
                lambda: f"the {self._kind} stays what it was: {reason}",
                logging.ERROR,
            )
            return False
        self._version = version
        return True


def _version(file: str) -> _Version | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - as the kernel has it
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
