"""Reports of processes travel through a file, and a bell says that there are some."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from dp_core.notebook import JournalEvent
from dp_core.notebook.processes import Pipes, removal, reporter

MANY: Final = 5_000
"""Reports of which a pipe would hold one in fifty."""

BUSY: Final = f"""
from dp_core.notebook import JournalEvent
from dp_core.notebook.processes import reporter
report = reporter()
for n in range({MANY}):
    report(JournalEvent("busy", n, "got", "id" * 500, text="€" * 400))
print("all reported", flush=True)
input()
"""

ENDS: Final = """
import signal
from dp_core.notebook.processes._pipes import die_with_notebook
die_with_notebook()
print("there", flush=True)
signal.pause()
"""


def test_reports_arrive_whole_or_not_at_all(tmp_path: Path) -> None:
    """Lines arrive as events, also in pieces; a line that is not one is left out."""
    pipes = Pipes(str(tmp_path))
    heard: list[JournalEvent] = []
    *_, reports = pipes.inherited
    try:
        os.write(
            reports, b'{"process": "a", "pid": 1, "kind": "won", "at": 1.0}\n{"pro'
        )
        pipes.drain(heard.append)
        os.write(
            reports, b'cess": "b", "pid": 2, "kind": "got", "at": 2.0}\nhalf a l\n'
        )
        pipes.drain(heard.append)
    finally:
        pipes.close()

    assert [("a", "won"), ("b", "got")] == [(e.process, e.kind) for e in heard]


def test_a_busy_notebook_loses_nothing(tmp_path: Path) -> None:
    """
    A process that reports much while nobody reads goes on, and all of it arrives.

    Also what it reported just before it was killed.
    """
    pipes = Pipes(str(tmp_path))
    heard: list[JournalEvent] = []
    try:
        with subprocess.Popen(
            [sys.executable, "-c", BUSY],
            env={**os.environ, **pipes.env},
            pass_fds=pipes.inherited,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert "all reported\n" == process.stdout.readline()
            process.kill()
        pipes.drain(heard.append)
    finally:
        pipes.close()

    assert [*range(MANY)] == [event.pid for event in heard]
    assert {"€" * 400} == {event.text for event in heard}


def test_what_a_full_disk_cuts_short_costs_one_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line without its end does not take the next one with it."""
    pipes = Pipes(str(tmp_path))
    heard: list[JournalEvent] = []
    for name, value in pipes.env.items():
        monkeypatch.setenv(name, value)
    report = reporter()
    assert report is not None
    *_, reports = pipes.inherited
    try:
        os.write(reports, b'\n{"process": "a", "pi')
        report(JournalEvent("b", 2, "got"))
        pipes.drain(heard.append)
    finally:
        pipes.close()

    assert ["b"] == [event.process for event in heard]


def test_nothing_is_left_in_the_directory(tmp_path: Path) -> None:
    """The file has no name, and goes with the last process that has it open."""
    Pipes(str(tmp_path)).close()

    assert [] == [*tmp_path.iterdir()]


def test_files_are_there_until_the_last_process_is_gone(tmp_path: Path) -> None:
    """
    Of two processes whose notebook is gone, the first removes nothing under the other.

    A kernel that finds its directory missing while it starts makes another, elsewhere.
    """
    place = tmp_path / "place"
    place.mkdir()
    pipes = Pipes(str(place))
    with ExitStack() as begun:
        begun.callback(pipes.close)
        quick, slow = [begun.enter_context(ending(pipes)) for _ in range(2)]
        os.kill(slow.pid, signal.SIGSTOP)
        begun.callback(slow.kill)
        # All of its threads have stopped.
        os.waitid(os.P_PID, slow.pid, os.WSTOPPED)
        pipes.close()
        while quick.poll() is None and not waits_for_a_lock(quick.pid):
            pass
        is_there = place.exists()
        os.kill(slow.pid, signal.SIGCONT)
        for process in (quick, slow):
            process.wait(60)

    assert is_there
    assert [] == [*tmp_path.iterdir()]


def test_who_is_stuck_is_not_waited_for_longer_than_the_alarm(tmp_path: Path) -> None:
    """The program that removes goes on at its alarm, though a process has the lock."""
    place = tmp_path / "place"
    place.mkdir()
    with (place / "in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with ExitStack() as begun:
            command = removal(str(place))
            remover = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            begun.enter_context(remover)
            begun.callback(remover.kill)
            while remover.poll() is None and not waits_for_a_lock(remover.pid):
                pass
            is_there = place.exists()
            remover.send_signal(signal.SIGALRM)
            remover.wait(60)

    assert is_there
    assert 0 == remover.returncode
    assert [] == [*tmp_path.iterdir()]


def ending(pipes: Pipes) -> subprocess.Popen[str]:
    """Start a process that ends with its notebook, and return it when it would."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENDS],
        env={**os.environ, **pipes.env},
        pass_fds=pipes.inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "there\n" == process.stdout.readline()
    return process


def waits_for_a_lock(pid: int) -> bool:
    """Tell whether a process has asked for a lock that another one has: see proc(5)."""
    locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    return any("->" in line and str(pid) in line.split() for line in locks)
