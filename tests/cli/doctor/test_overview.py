"""``dp`` without a command: what is in the store, or how to begin with one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from dp_backends.memory import MemoryBackend
from dp_core import Resolved, connect
from dp_core._plugins import _opening
from dp_core.cli._doctor import _overview
from support.core.program import PROGRAM, Run
from support.core.terminals import on_terminal

Fill = Callable[..., None]


def test_without_a_store_it_says_how_to_begin(dp: Run, nowhere: Path) -> None:
    """The exit code is 0, and no store is made."""
    done = dp(cwd=nowhere)

    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout.startswith(b"Store file:./promises (the default)\n")
    assert b"\nThere is no store yet.\n" in done.stdout
    assert b"\n  dp get greeting\n  dp resolve greeting hello\n" in done.stdout
    assert b"dp --help" in done.stdout
    assert [] == list(nowhere.iterdir())


def test_a_named_store_that_is_missing_may_be_a_slip(dp: Run, nowhere: Path) -> None:
    """It asks whether the URL is right, and names it in the lines to begin with."""
    done = dp("--url", "file:./mine", cwd=nowhere)

    assert 0 == done.returncode
    assert b"is the URL right?" in done.stdout
    assert b"dp resolve greeting hello --url file:./mine\n" in done.stdout


def test_the_newest_promises_are_shown(
    here: Run, env: dict[str, str], fill: Fill
) -> None:
    """At most ten of them, the newest first, and how to see all."""
    fill(f"id-{number}" for number in range(11))

    done = here()
    rows = re.findall(rb"^id-(\d+) +resolved ", done.stdout, re.MULTILINE)
    assert [str(number).encode() for number in range(10, 0, -1)] == rows
    assert b'"dp list" shows all' in done.stdout
    assert b"" == done.stderr
    assert done.stdout.startswith(f"Store {env['DP_URL']} (by DP_URL)\n".encode())


def test_programs_get_one_line_of_json(dp: Run, nowhere: Path) -> None:
    """It has the promises as the wire has them, and says what else is known."""
    nothing = json.loads(dp("--json", cwd=nowhere).stdout)
    dp("resolve", "one", "1.50", cwd=nowhere)
    done = dp("--json", cwd=nowhere)

    assert 1 == done.stdout.count(b"\n")
    assert b'"value":1.50,' in done.stdout
    found = json.loads(done.stdout)
    assert [{"promiseId": "one", "state": "resolved"}] == [
        {name: info[name] for name in ("promiseId", "state")}
        for info in found.pop("promises")
    ]
    rest = {"store": "file:./promises", "more": False, "unreadable": 0, "error": None}
    assert rest | {"exists": True} == found
    assert rest | {"exists": False, "promises": []} == nothing


def test_a_terminal_gets_a_table_that_fits(env: dict[str, str], fill: Fill) -> None:
    """There is a head, and rows are cut; what would drive a terminal is escaped."""
    fill([], {"x\x1b[31m\u202e漢字": "no " * 50})
    shown = on_terminal(PROGRAM, env | {"NO_COLOR": "1"}, columns=40)[1]

    head, row = shown.splitlines()[2:4]
    assert head.startswith("ID ")
    assert row.startswith(r"x\u001b")
    assert "\x1b" not in shown
    assert len(head) <= 40 >= len(row)


def test_what_is_wrong_is_said_in_a_sentence(
    here: Run, closed: str, tmp_path: Path
) -> None:
    """A server that is away, a wrong URL, others' directories: exit code 0 for all."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    (tmp_path / "no.db").write_text("not a database, but long enough to look at" * 99)
    for url, words in (
        (f"http://{closed}", "connection refused"),
        (closed, f"for a server write 'http://{closed}'"),
        (f"file:{tmp_path}/mine", "is not a store and not empty"),
        (f"sqlite:{tmp_path}/no.db", "not an SQLite database"),
        (f"postgresql://anna:geheim@{closed}/x", "connection failed"),
        ("nowhere:x", "the schemes known here are"),
    ):
        done = here("--url", url)
        (line,) = done.stderr.decode().splitlines()
        assert (0, True) == (done.returncode, line.startswith("dp: ")), line
        assert words in line
        assert '"dp doctor" says more' in line
        assert b"geheim" not in done.stdout + done.stderr


def test_a_server_that_hangs_is_not_waited_for(
    here: Run,
    env: dict[str, str],
    silent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a while it says so, and ends with 0."""
    monkeypatch.setattr(_overview, "_SECONDS", 0.2)
    env["DP_URL"] = f"http://{silent}"
    done = here()

    assert 0 == done.returncode
    assert b"dp: the store has not told all in 0.2 s" in done.stderr


def test_a_store_of_outcomes_only_cannot_be_listed(
    here: Run, env: dict[str, str], plain: str
) -> None:
    """It says so, and what works there."""
    env["DP_URL"] = plain
    done = here()

    assert 0 == done.returncode
    assert b'cannot be listed; "dp peek ID" works' in done.stderr


def test_damaged_promises_are_counted(here: Run, tmp_path: Path, fill: Fill) -> None:
    """The others are shown, and it says where the damaged ones are named."""
    fill(["good", "bad"])
    for file in (tmp_path / "promises" / "p").rglob("*.json"):
        if b'"bad"' in file.read_bytes():
            file.write_bytes(b"rubbish")
    done = here()

    assert 0 == done.returncode
    assert b"\ngood " in done.stdout
    assert b'dp: 1 promises cannot be read; see "dp list"\n' == done.stderr


@pytest.mark.parametrize("words", [(), ("doctor",)])
def test_a_pipe_that_is_closed_early_is_no_news(
    words: tuple[str, ...], env: dict[str, str]
) -> None:
    """``dp | head -1`` prints no error; the exit code says that not all was read."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, *words], env=env, stdout=write, stderr=-1, check=False
    )
    os.close(write)

    assert (2, b"") == (done.returncode, done.stderr)


def test_a_store_in_which_nothing_is_says_how_to_begin(here: Run, fill: Fill) -> None:
    """It is there, and all of it was disposed of."""
    fill(["gone"])
    here("dispose", "gone")
    done = here()

    assert (0, b"") == (done.returncode, done.stderr)
    assert b"\nThere is nothing in it.\n" in done.stdout
    assert b"dp resolve greeting hello" in done.stdout


def test_what_no_store_takes_is_counted_as_damaged(
    here: Run, env: dict[str, str]
) -> None:
    """A value that is not JSON was not written by the library."""

    async def settle() -> None:
        async with connect(env["DP_URL"]) as promises:
            await promises.backend.settle("strange", Resolved(b"NaN"))
            await promises.promise("good").resolve(1)

    anyio.run(settle)
    done = here()

    assert b"\ngood " in done.stdout
    assert b'dp: 1 promises cannot be read; see "dp list"\n' == done.stderr


def test_a_mistake_of_others_backend_is_said_in_one_line(
    here: Run, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends no program with a traceback."""

    class Faulty(MemoryBackend):
        async def list(self, *_: object) -> Any:
            raise ZeroDivisionError("a bug")

    factory = (sys.path.copy(), Faulty)
    monkeypatch.setitem(_opening._found, "faulty", factory)
    env["DP_URL"] = "faulty:x"
    done = here()

    assert 0 == done.returncode
    assert b"the store fails (ZeroDivisionError: a bug)" in done.stderr
    assert 1 == done.stderr.count(b"\n")
