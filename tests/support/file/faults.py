"""`Faults`: system calls of this thread that are counted, and of which one fails."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from dp_backends.file._layout import SHARDS

__all__ = ["ERRORS", "RETRIED", "Faults"]

ERRORS: Final = tuple(
    getattr(errno, name)
    for name in ("EIO", "EACCES", "ENOSPC", "EDQUOT", "EMFILE", "EROFS", "EINTR")
)
_CALLS: Final = (
    *("open", "close", "read", "write", "fsync", "link", "unlink", "rename"),
    *("mkdir", "stat", "lstat", "fstat", "listdir", "scandir", "utime"),
)
RETRIED: Final = frozenset({"open", "read", "write", "fsync"})
"""Python repeats these by itself when a signal interrupts them (PEP 475)."""


@dataclass
class Faults:
    """
    Counts the calls of this thread, and lets one of them fail.

    Attributes:
        fail_at: Which call fails, from 1; 0 lets all go well.
        error: The errno it fails with.
        calls: What was called, as ``(name, what for)``.
        failed: The name of the call that failed.
        durable: Whether a shard had been made durable before it, or a new file
            and then a shard after it.
        stops: Whether it was a directory that could not be made durable.
    """

    fail_at: int = 0
    error: int = errno.EIO
    calls: list[str] = field(default_factory=list)
    failed: str | None = None
    durable: bool = False
    stops: bool = False
    _anew: bool = False

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Count, and fail, while this is entered."""
        thread = threading.get_ident()
        with ExitStack() as stack:
            for name in _CALLS:
                real = getattr(os, name)
                stack.enter_context(
                    patch.object(os, name, partial(self._call, name, real, thread))
                )
            yield

    def _call(
        self, name: str, real: Callable[..., Any], thread: int, *args: Any, **named: Any
    ) -> Any:
        if threading.get_ident() != thread:
            return real(*args, **named)
        self.calls.append(name)
        is_directory = name == "fsync" and stat.S_ISDIR(_FSTAT(args[0]).st_mode)
        is_shard = is_directory and _name_of(args[0]) in SHARDS
        if len(self.calls) != self.fail_at:
            result = real(*args, **named)
            if name == "fsync":
                self.durable |= is_shard and (self.failed is None or self._anew)
                self._anew |= not is_directory and self.failed is not None
            return result
        self.failed, self.stops = name, is_directory
        if name == "close":
            # Linux closes the descriptor whatever it says (close(2)).
            real(*args)
        raise OSError(self.error, os.strerror(self.error), "injected")


_FSTAT: Final = os.fstat


def _name_of(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name
