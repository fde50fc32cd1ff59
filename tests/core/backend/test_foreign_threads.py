"""`dp_core.backend.ForeignThreads`: threads that Python did not start."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dp_core.backend import ForeignThreads

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells of all threads of a process"
)

C = ctypes.CDLL(None)


class Object:
    """An object that a thread serves: the thread ends with it. It is in a cycle."""

    def __init__(self) -> None:
        self.semaphore = ctypes.create_string_buffer(64)
        assert 0 == C.sem_init(self.semaphore, 0, 0)
        self.itself = self

    def __del__(self) -> None:
        C.sem_post(self.semaphore)


@contextmanager
def foreign_thread() -> Iterator[Callable[[], None]]:
    """Let a thread run unknown to Python; yield what leaves its object to garbage."""
    served = [Object()]
    semaphore, thread = served[0].semaphore, ctypes.c_ulong()
    function = ctypes.cast(C.sem_wait, ctypes.c_void_p)
    assert 0 == C.pthread_create(ctypes.byref(thread), None, function, semaphore)
    try:
        yield served.clear
    finally:
        C.sem_post(semaphore)
        C.pthread_join(thread, None)


async def test_it_waits_until_they_have_ended() -> None:
    """True is returned when the last one is gone, and at once where there is none."""
    threads = ForeignThreads()
    assert await threads.wait_until_ended(0)

    with foreign_thread():
        assert not await threads.wait_until_ended(0.01)
    assert await threads.wait_until_ended(60)


async def test_what_serves_garbage_only_is_told_to_end() -> None:
    """A thread may end with an object that only a cycle of references keeps."""
    threads = ForeignThreads()

    with foreign_thread() as leave_to_garbage:
        leave_to_garbage()
        assert await threads.wait_until_ended(60)


async def test_those_from_before_are_not_waited_for() -> None:
    """Only those that start after it was made count."""
    with foreign_thread():
        assert await ForeignThreads().wait_until_ended(0)


NO_FILES = """
import os, resource
import anyio
from dp_core.backend import ForeignThreads

async def main():
    threads = ForeignThreads()
    free = os.dup(0)
    os.close(free)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, most))
    assert await threads.wait_until_ended(60)

anyio.run(main)
"""


def test_where_no_file_can_be_opened_nobody_waits() -> None:
    """A process that is out of files stops as others do, without an error."""
    done = subprocess.run(
        [sys.executable, "-c", NO_FILES],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
