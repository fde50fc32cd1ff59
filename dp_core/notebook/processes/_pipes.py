"""
`Pipes`: how processes report to their notebook, and learn that it is gone.

Processes append their events to a file, each a line of JSON. What is written is in the
operating system's hands, so that it arrives also if the process is killed right after;
and a file is never full, as a pipe is while the notebook is busy: nothing is lost, and
nobody stands still. A byte in the first pipe, the bell, says that there is something
to read.

Nothing is ever written to the second pipe. The notebook alone holds its writing end, so
that processes read its end of file when the notebook is gone, for whatever reason. Each
then becomes a program that removes the notebook's files, once none of the others can
write there.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Final, NoReturn, final

from dp_core.notebook._journal import NOTEBOOK, JournalEvent

__all__ = [
    "PROCESS",
    "Pipes",
    "die_with_notebook",
    "process_name",
    "removal",
    "reporter",
]

PROCESS: Final = "DP_NOTEBOOK_PROCESS"
"""The environment variable that holds a process's name."""

_LIFELINE: Final = "DP_NOTEBOOK_LIFELINE"
_BELL: Final = "DP_NOTEBOOK_BELL"
_REPORTS: Final = "DP_NOTEBOOK_REPORTS"
_PLACE: Final = "DP_NOTEBOOK_PLACE"
_SIZE: Final = 65536

_IN_USE: Final = "in-use"
"""A file in the place, locked by each process that may write there (flock(2))."""

# Others who end at the same moment may write a last file. Nobody who is stuck is waited
# for for ever, nor anybody on a disk without locks.
_REMOVE: Final = f"""\
import fcntl, os, shutil, signal, sys, time
place = sys.argv[1]
os.chdir("/")
sys.stdin.buffer.read()
def give_up(*_):
    raise TimeoutError
signal.signal(signal.SIGALRM, give_up)
try:
    lock = open(place + "/{_IN_USE}")
    signal.alarm(30)
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.alarm(0)
except OSError:
    pass
for _ in range(100):
    shutil.rmtree(place, ignore_errors=True)
    if not os.path.lexists(place):
        break
    time.sleep(0.1)
"""


@final
class Pipes:
    """
    The notebook's ends of both pipes, and the file of the reports.

    Args:
        place: A directory; processes remove it if the notebook died before it
            could.

    Attributes:
        inherited: The descriptors that processes inherit.
        env: Environment variables that name these descriptors.
    """

    def __init__(self, place: str) -> None:
        with ExitStack() as begun:
            lifeline, self._lifeline = _pipe(begun)
            self._bell, bell = _pipe(begun)
            self._reports = _nameless_file(place, begun)
            self._opened = begun.pop_all()
        for fd in (self._bell, bell):
            os.set_blocking(fd, False)
        self.inherited = (lifeline, bell, self._reports)
        self.env: Mapping[str, str] = {
            _LIFELINE: str(lifeline),
            _BELL: str(bell),
            _REPORTS: str(self._reports),
            _PLACE: place,
        }
        self._read = 0
        self._rest = b""
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, hear: Callable[[JournalEvent], object]) -> None:
        """Call *hear* with every event, from the running loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._bell, self.drain, hear)

    def drain(self, hear: Callable[[JournalEvent], object]) -> None:
        """Call *hear* with the events that have been reported up to now."""
        # The bell first: who rings after this has us called again.
        with suppress(BlockingIOError):
            while os.read(self._bell, _SIZE):
                pass
        while data := os.pread(self._reports, _SIZE, self._read):
            self._read += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in filter(None, lines):
                # On a full disk a line may be cut short, and is not JSON then.
                with suppress(ValueError, TypeError):
                    hear(JournalEvent(**json.loads(line)))

    def close(self) -> None:
        """Close all; processes that still hold the other ends then exit."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._bell)
        self._opened.close()


def _pipe(opened: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        opened.callback(os.close, fd)
    return ends


def _nameless_file(place: str, opened: ExitStack) -> int:
    """Return a file to which every write is appended, whole, whoever writes."""
    path = f"{place}/reports"
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    opened.callback(os.close, fd)
    Path(path).unlink()
    return fd


def reporter() -> Callable[[JournalEvent], None] | None:
    """Return a function that reports to the notebook; None if there is none."""
    if _REPORTS not in os.environ:
        return None
    reports, bell = int(os.environ[_REPORTS]), int(os.environ[_BELL])

    def report(event: JournalEvent) -> None:
        # The environment's name of this process may hold what UTF-8 cannot.
        line = json.dumps(asdict(event), ensure_ascii=False).encode(errors="replace")
        # Pictures with gaps are better than processes that fail. The first line feed
        # ends a line that a full disk has cut short; it is not in JSON.
        with suppress(OSError):
            os.write(reports, b"\n%b\n" % line)
        # A bell that is full rings already.
        with suppress(BlockingIOError):
            os.write(bell, b"\n")

    return report


def process_name() -> str:
    """Return the name of this process; that of the notebook itself is "notebook"."""
    return os.environ.get(PROCESS, NOTEBOOK)


def die_with_notebook() -> None:
    """
    End this process as soon as the notebook is gone.

    ipykernel looks once a second whether its parent has changed; that fails where
    orphans are adopted by another process than init.
    """
    if _LIFELINE not in os.environ:
        return
    fd, place = int(os.environ[_LIFELINE]), os.environ[_PLACE]
    # Where one dies in the middle of its first call, it leaves a file.
    tempfile.gettempdir()
    # Locked first, and then looked: either the notebook is gone already, or who removes
    # the place waits for this process.
    with suppress(OSError):
        flags = os.O_RDONLY | os.O_CREAT
        fcntl.flock(os.open(f"{place}/{_IN_USE}", flags, 0o600), fcntl.LOCK_SH)
    lifeline = select.poll()
    lifeline.register(fd, select.POLLIN)
    if lifeline.poll(0):
        _remove_and_exit(place)
    Thread(target=_wait_and_exit, args=(fd, place), daemon=True).start()


def _wait_and_exit(fd: int, place: str) -> None:
    os.read(fd, 1)
    _remove_and_exit(place)


def _remove_and_exit(place: str) -> NoReturn:
    program = removal(place)
    try:
        # It ends all other threads, which may be making files in this place, or the
        # place anew. Its stdin is empty.
        os.execv(program[0], program)  # noqa: S606 - this interpreter, our own program
    finally:
        os._exit(1)


def removal(directory: str) -> list[str]:
    """
    Return a command that removes a directory.

    It waits for the end of its stdin, and for processes that have locked it.
    """
    return [sys.executable, "-I", "-S", "-c", _REMOVE, directory]
