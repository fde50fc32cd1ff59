"""`no_files_left`: a passing failure that the kit can cause by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = ["no_files_left"]


@contextmanager
def no_files_left() -> Iterator[None]:
    """
    Let this process open no more files, sockets and pipes; those open stay.

    Does nothing where a process has no such limit (`resource` is for POSIX).
    """
    if find_spec("resource") is None:
        yield
        return
    import resource  # noqa: PLC0415 - not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    # The number of the next descriptor is the first that is too high (getrlimit(2)).
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
