"""Ends of programs: exit codes, nothing on stderr that is not theirs, nothing left."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import dp_core.sync as dp

BEGIN: Final = """
import os, sys, threading
import dp_core.sync as dp

promises = dp.connect(sys.argv[1])
own = sys.argv[2]
promises.promise(own + "first").resolve(1)


def wait(daemon):
    thread = threading.Thread(
        target=lambda: print(promises.promise(own + "pending").get(), flush=True),
        daemon=daemon,
    )
    thread.start()
    # It is blocked, or about to be.
    while not any(t.name == "dp-sync" for t in threading.enumerate()):
        pass


def begun():
    print("begun", flush=True)


"""


class Ending(NamedTuple):
    """
    A program's end.

    Attributes:
        program: What it does at last.
        code: Its exit code.
        said: What it prints, after that it has begun.
        error: The last line on stderr; where there is none, nothing is there.
        signal: Sent when it has begun.
    """

    program: str
    code: int = 0
    said: str = ""
    error: str = ""
    signal: signal.Signals | None = None


ENDINGS: Final = {
    "returns": Ending("begun()"),
    "closes": Ending("begun(); promises.close()"),
    "exits": Ending("wait(True); begun(); sys.exit(3)", 3),
    "raises": Ending(
        "wait(True); begun(); raise ValueError(5)", 1, error="ValueError: 5"
    ),
    "waits": Ending("wait(False); begun()", said="settled\n"),
    "waits, and raises": Ending(
        "wait(False); begun(); raise ValueError(5)", 1, "settled\n", "ValueError: 5"
    ),
    "is interrupted": Ending(
        "begun(); promises.promise(own + 'never').get()",
        -signal.SIGINT,
        error="KeyboardInterrupt",
        signal=signal.SIGINT,
    ),
    "is interrupted in a block": Ending(
        "begun()\n"
        "with dp.as_settled([promises.promise(own + 'never')]) as settled:\n"
        "    next(settled)",
        -signal.SIGINT,
        error="KeyboardInterrupt",
        signal=signal.SIGINT,
    ),
    "is terminated": Ending(
        "wait(True); begun(); promises.promise(own + 'never').get()",
        -signal.SIGTERM,
        signal=signal.SIGTERM,
    ),
    "exits in a thread of its own": Ending(
        "thread = threading.Thread(target=lambda: [promises.promise(own + 'x').peek(),"
        " sys.exit(3)])\nthread.start(); begun(); thread.join()"
    ),
    "settles at last": Ending(
        "import atexit\n"
        "@atexit.register\n"
        "def last():\n"
        "    print(promises.promise(own + 'last').resolve('bye'))\n"
        "    promises.close()\n"
        "begun(); sys.exit(4)",
        4,
        "Resolved(value='bye')\n",
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_end_of_a_program(name: str, url: str, tmp_path: Path) -> None:
    """Its exit code is its own, and nothing speaks that it did not let speak."""
    ending = ENDINGS[name]
    if url == "memory:" and ending.said == "settled\n":
        pytest.skip("nobody else settles what is in memory")
    own = f"{tmp_path} {name} "
    with subprocess.Popen(
        # Whatever is left open, or is awaited by nobody, is told on stderr.
        [sys.executable, "-Walways", "-c", BEGIN + ending.program, url, own],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    ) as process:
        killer = threading.Timer(60, process.kill)
        killer.start()
        assert process.stdout is not None
        assert "begun\n" == process.stdout.readline()
        if ending.signal is not None:
            process.send_signal(ending.signal)
        if ending.said == "settled\n":
            with dp.connect(url) as promises:
                promises.promise(f"{own}pending").resolve("settled")
        assert process.stderr is not None
        # Not by `communicate`, which knows nothing of what was read ahead.
        said, errors = process.stdout.read(), process.stderr.read()
        killer.cancel()
    assert (ending.code, ending.said) == (process.returncode, said), errors
    # A traceback, or nothing.
    assert errors.splitlines()[-1:] == [ending.error][: bool(ending.error)]
    assert ("Traceback" in errors) == bool(ending.error)
    assert not re.search("Warning|[Ii]gnored", errors), errors
