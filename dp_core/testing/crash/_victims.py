"""
`VictimRunner`: runs processes, and kills them at a chosen system call.

strace(1) kills: ``--inject=CALL:signal=KILL:when=N`` delivers the signal on
*entry*, so that the call does not happen. N counts the calls of that name for
each thread; a run that is not killed shows which calls there are.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

from dp_core import State
from dp_core.testing.crash._child import state_from_json
from dp_core.testing.crash._model import Step

__all__ = [
    "EVERY_CALL",
    "WRITING_CALLS",
    "Ended",
    "Point",
    "VictimRunner",
    "missing_tools",
    "thinned",
]

EVERY_CALL: Final = ("all",)
"""Every system call, as strace names it."""

WRITING_CALLS: Final = (
    *("openat", "creat", "close", "write", "writev", "pwrite64", "pwritev"),
    *("fsync", "fdatasync", "sync_file_range", "msync", "ftruncate", "fallocate"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat"),
    *("rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir"),
    *("fcntl", "flock", "sendto", "sendmsg"),
)
"""The system calls that change what other processes see, or when."""

_TRACED: Final = re.compile(r"^\d+ +(?:[\d.]+ )?(?P<call>\w+)\((?P<rest>.*)$")
_STARTS: Final = 30.0
_LONGEST_RUN: Final = 6


@final
@dataclass(frozen=True, slots=True)
class Point:
    """
    A place to kill a process: before its *number*-th *call*.

    Attributes:
        call: The system call's name.
        number: The number of the call in its thread, from 1.
        shown: The call as strace showed it in a run that was not killed.
    """

    call: str
    number: int
    shown: str

    def __str__(self) -> str:
        return f"{self.call} #{self.number}: {self.shown}"


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """
    The end of a process.

    Attributes:
        answers: The results that it acknowledged, step by step; None for one that
            failed, and might.
        killed: Whether it was killed.
        failure: Its error, or that it did not end in time; None if it was right.
    """

    answers: tuple[State[Any] | None, ...]
    killed: bool
    failure: str | None


def missing_tools() -> str | None:
    """Return a sentence on what a sweep lacks on this machine, or None."""
    if not hasattr(os, "fork"):  # pragma: no cover - not on POSIX
        return "processes cannot be forked here"
    if shutil.which("strace") is None:
        return "strace is not installed; run: apt-get install strace"
    # It fails in a container without the right to trace.
    probe = subprocess.run(
        ["strace", "-e", "trace=none", "true"],  # noqa: S607 - where it is differs
        capture_output=True,
        check=False,
    )
    return f"strace does not work here: {probe.stderr!r}" if probe.returncode else None


class VictimRunner:
    """
    Runs processes of a program that calls `dp_core.testing.crash.serve`.

    A context manager. Its methods block; use it in one thread at a time.

    Args:
        command: The program.
        environment: Variables to set for it.
        patience: How long a process may take, in seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        patience: float,
    ) -> None:
        self._patience = patience
        self._scratch = tempfile.TemporaryDirectory(prefix="dp-crash-")
        self._acks = Path(self._scratch.name, "acks")
        self._trace = Path(self._scratch.name, "trace")
        self._program = subprocess.Popen(  # noqa: S603 - the caller's own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program, and remove its files."""
        with self._program as program:
            program.terminate()
        self._scratch.cleanup()

    # Running ----------------------------------------------------------------

    def run(self, url: str, steps: Sequence[Step], *, abrupt: bool = False) -> Ended:
        """
        Let a process perform the steps, and wait for its end.

        Args:
            url: The store.
            steps: Its operations.
            abrupt: Whether it ends at its last acknowledgement, without closing
                the store.
        """
        return self._finish(self.begin(url, steps, abrupt=abrupt))

    def run_until(self, url: str, steps: Sequence[Step], point: Point) -> Ended:
        """Let a process perform the steps, and kill it at a point."""
        kill = f"inject={point.call}:signal=KILL:when={point.number}"
        pid = self.begin(url, steps)
        return self._traced(pid, "-e", f"trace={point.call}", "-e", kill)

    def run_failing(
        self, url: str, steps: Sequence[Step], point: Point, error: str
    ) -> Ended:
        """Let a process perform the steps, and let a call at a point fail."""
        fail = f"inject={point.call}:error={error}:when={point.number}"
        pid = self.begin(url, steps)
        return self._traced(pid, "-e", f"trace={point.call}", "-e", fail)

    def points(
        self, url: str, steps: Sequence[Step], calls: Sequence[str]
    ) -> tuple[tuple[Point, ...], Ended]:
        """Return where such a process can be killed, and its end without a kill."""
        # The question mark: not every architecture has every call.
        wanted = calls if calls == EVERY_CALL else [f"?{call}" for call in calls]
        ended = self._traced(self.begin(url, steps), "-e", f"trace={','.join(wanted)}")
        return _points(self._trace.read_text(errors="replace").splitlines()), ended

    def begin(self, url: str, steps: Sequence[Step], *, abrupt: bool = False) -> int:
        """Start a process and return its id; it waits for `go`."""
        self._acks.unlink(missing_ok=True)
        self._send(
            {
                "url": url,
                "steps": [list(astuple(step)) for step in steps],
                "acks": str(self._acks),
                "abrupt": abrupt,
            }
        )
        pid = self._receive(_STARTS)
        if pid is None:
            raise RuntimeError("the program that starts processes does not answer")
        return pid

    def go(self) -> None:
        """Let the process begin."""
        self._send("go")

    def ended(self, pid: int) -> Ended:
        """Wait for the end of the process, for as long as it may take."""
        status = self._receive(self._patience)
        stuck = status is None
        if status is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            status = self._receive(_STARTS) or 0
        lines = self._acks.read_text().splitlines() if self._acks.exists() else []
        answers = [json.loads(line) for line in lines]
        failed = [answer for answer in answers if answer and "failed" in answer]
        failure = str(failed[0]["failed"]) if failed else None
        if stuck:
            failure = f"it did not end within {self._patience:g} s"
        results = tuple(state_from_json(a) for a in answers if a not in failed)
        return Ended(results, os.WIFSIGNALED(status), failure)

    def _finish(self, pid: int) -> Ended:
        self.go()
        return self.ended(pid)

    def _traced(self, pid: int, *options: str) -> Ended:
        command = ["strace", "-f", "-o", str(self._trace), *options, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:  # noqa: S603 - strace and this program
            assert tracer.stderr is not None  # noqa: S101 - for the type checker
            message = tracer.stderr.readline()
            try:
                ended = self._finish(pid)
            finally:
                rest = tracer.stderr.read()
        if b"attached" not in message:
            raise RuntimeError(f"strace: {(message + rest).decode(errors='replace')}")
        return ended

    def _send(self, message: object) -> None:
        assert self._program.stdin is not None  # noqa: S101 - for the type checker
        self._program.stdin.write(json.dumps(message).encode() + b"\n")

    def _receive(self, seconds: float) -> int | None:
        """Return the next number of the program, or None if none comes in time."""
        out = self._program.stdout
        assert out is not None  # noqa: S101 - for the type checker
        if not select.select([out], [], [], seconds)[0]:
            return None
        line = out.readline()
        return int(line) if line else None


def _points(trace: Sequence[str]) -> tuple[Point, ...]:
    """Return the points of a trace, each once, in the order of their calls."""
    seen: dict[tuple[str, int], Point] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for line in trace:
        if match := _TRACED.match(line):
            thread, call = line.split(maxsplit=1)[0], match["call"]
            counts[thread, call] += 1
            number = counts[thread, call]
            shown = f"{call}({match['rest']}"
            seen.setdefault((call, number), Point(call, number, shown))
    return tuple(seen.values())


def thinned(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points without the middle of long runs of one system call."""
    kept: list[Point] = []
    for _, group in groupby(points, lambda point: point.call):
        run = list(group)
        if len(run) > _LONGEST_RUN:
            last = len(run) - 1
            places = [last * n // (_LONGEST_RUN - 1) for n in range(_LONGEST_RUN)]
            run = [run[place] for place in places]
        kept += run
    return tuple(kept)
