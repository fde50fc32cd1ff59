"""``dp doctor``: the installation, any backend, and how it is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dp_backends.memory import MemoryBackend
from dp_core import Backend, BackendUnavailableError, Outcome, State, connect
from dp_core._plugins import _opening
from dp_core.backend import Check
from dp_core.cli._doctor import _diagnosis, _store_checks
from support.core.program import PROGRAM, Done, Run
from support.core.terminals import on_terminal

Diagnose = Callable[..., dict[str, dict[str, Any]]]


def test_all_is_well_is_exit_code_0(here: Run, fill: Callable[..., None]) -> None:
    """Each thing has a line that says ok; so says the last line."""
    fill(["one"])
    *lines, empty, last = here("doctor").stdout.decode().splitlines()

    assert ("", "All is well.") == (empty, last)
    assert {"ok"} == {line.split()[0] for line in lines}
    assert {"Python", "library", "plugins", "store"} <= {
        line.split()[1] for line in lines
    }


def test_the_exit_code_is_that_of_the_worst(
    here: Run, env: dict[str, str], nowhere: Path
) -> None:
    """1 for a warning, 2 for a problem; the line below says what to do."""
    env["DP_URL"] = f"file:{nowhere}/new"
    warned = here("doctor")
    env["DP_URL"] = "file:/dev/null"
    failed = here("doctor")

    assert (1, 2) == (warned.returncode, failed.returncode)
    assert b"\nwarning  store            there is no store at" in warned.stdout
    assert b"\n                          -> look whether the URL" in warned.stdout
    assert warned.stdout.endswith(b"\n1 warning.\n")
    assert failed.stdout.endswith(b"\n1 problem.\n")


def test_programs_get_one_line_of_json(here: Run, env: dict[str, str]) -> None:
    """An array of objects; the advice is null where there is nothing to do."""
    env["DP_URL"] = "localhost:8080"
    done = here("doctor", "--json")

    assert 1 == done.stdout.count(b"\n")
    first, *_, last = json.loads(done.stdout)
    assert ("Python", "ok", None) == (first["name"], first["status"], first["advice"])
    expected = {
        "name": "store",
        "status": "problem",
        "text": "'localhost:8080' is not a store",
        "advice": "for a server write 'http://localhost:8080'",
    }
    assert expected == last


def test_an_empty_url_is_a_problem(here: Run) -> None:
    """It was to name a store, and is not the default."""
    done = here("doctor", "--url", "")

    assert 2 == done.returncode
    assert b"'' (by --url)\n" in done.stdout
    assert b"write one such as 'file:./promises', or leave it out" in done.stdout


def test_long_texts_fit_a_terminal(env: dict[str, str]) -> None:
    """They go on below their beginning; in a pipe each is one line."""
    shown = on_terminal(
        (*PROGRAM, "doctor", "--url", "nowhere:x"), env | {"NO_COLOR": "1"}, columns=60
    )[1]

    assert shown.rstrip().endswith("1 problem.")
    long = [line for line in shown.splitlines() if len(line) > 60]
    assert [] == [line for line in long if " " in line[26:].strip()]
    assert "\r\n                          -> install the package that" in shown


def test_a_working_directory_that_was_removed_is_a_problem(
    env: dict[str, str], nowhere: Path
) -> None:
    """A relative path names nothing then; it says where to go."""
    script = 'rmdir "$PWD"; exec "$@"'
    command = ["sh", "-c", script, "sh", *PROGRAM, "doctor"]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        command, cwd=nowhere, env=env, capture_output=True, text=True, check=False
    )

    assert (2, "") == (done.returncode, done.stderr)
    assert "problem  store            the working directory was removed" in done.stdout
    assert "-> go to another directory, or write an absolute path" in done.stdout


# Plugins ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "word"), [("dp_core", "lame:"), ("dp_core.commands", "dp lame")]
)
def test_packages_of_others_that_do_not_load_are_named(
    dp: Run, env: dict[str, str], tmp_path: Path, group: str, word: str
) -> None:
    """Backends and commands; it is a warning, as it harms only those who use them."""
    info = tmp_path / "lame-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lame\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nlame = lame\n")
    (tmp_path / "lame.py").write_text("import os; os._exit(7)")
    env |= {"PYTHONPATH": str(tmp_path), "DP_URL": f"file:{tmp_path}/promises"}
    checks = json.loads(dp("doctor", "--json").stdout)

    (found,) = [check for check in checks if check["name"] == "plugin"]
    assert "warning" == found["status"]
    assert f"{word} cannot be used" in found["text"]
    assert "ends the process that loads it (status 7)" in found["text"]
    assert "uninstall lame" in found["advice"]


# Backends of others -------------------------------------------------------------


class Plain(Backend):
    """A backend of others, which has no checks of its own."""

    async def peek(self, id: str) -> State[bytes]:
        return await connect("memory:").backend.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        raise NotImplementedError

    async def wait(self, id: str) -> Outcome[bytes]:
        raise NotImplementedError

    async def dispose(self, id: str) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


@pytest.fixture
def diagnose(
    here: Run, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[Backend]], tuple[int, list[dict[str, Any]]]]:
    """Return a function that tells what is said about a store of others' backend."""

    def diagnose(backend: type[Backend]) -> tuple[int, list[dict[str, Any]]]:
        factory = (sys.path.copy(), lambda url: backend())
        monkeypatch.setitem(_opening._found, "theirs", factory)
        env["DP_URL"] = "theirs:x"
        done: Done = here("doctor", "--json")
        checks = json.loads(done.stdout)
        places = [place for place, c in enumerate(checks) if c["name"] == "store URL"]
        return done.returncode, checks[places[0] + 1 :]

    return diagnose


def test_a_backend_without_checks_is_looked_at(diagnose: Any) -> None:
    """By one promise; that it keeps outcomes only is a warning."""
    status, (store, terms) = diagnose(Plain)

    assert 1 == status
    assert ("ok", "warning") == (store["status"], terms["status"])
    assert "has no checks of its own" in store["text"]


def test_a_backend_that_cannot_be_asked_is_a_problem(diagnose: Any) -> None:
    """Its error is split into what it is and what to do."""

    class Away(Plain):
        async def peek(self, id: str) -> State[bytes]:
            raise BackendUnavailableError("the moon is away; wait for the night")

    status, (check,) = diagnose(Away)

    assert (2, "problem") == (status, check["status"])
    assert "the moon is away" == check["text"]
    assert "wait for the night" == check["advice"]


def test_checks_of_others_are_told_and_escaped(diagnose: Any) -> None:
    """Whatever is in their texts: a terminal obeys none of it, and lines are lines."""

    class Checked(Plain):
        async def check(self) -> AsyncIterator[Check]:
            yield Check("moon\n", "ok", "it is\x1b[31m full\u202e")
            yield Check("tide", "problem", "it is\nhigh", "wait\r\nfor it")

    status, (moon, tide) = diagnose(Checked)

    assert 2 == status
    assert ("moon", r"it is\u001b[31m full\u202e") == (moon["name"], moon["text"])
    assert ("it is high", "wait for it") == (tide["text"], tide["advice"])


def test_checks_that_fail_are_a_problem_without_a_traceback(diagnose: Any) -> None:
    """An exception, and what is not a check, are said to be the package's."""

    class Raising(Plain):
        async def check(self) -> AsyncIterator[Any]:
            yield "all is well"
            raise ZeroDivisionError("of the moon")

    status, (junk, raised) = diagnose(Raising)

    assert 2 == status
    assert "tells str, which is not a valid check" in junk["text"]
    assert raised["text"].endswith("fail: ZeroDivisionError: of the moon")
    assert "dp backends" in raised["advice"]


def test_checks_that_hang_are_not_waited_for(
    diagnose: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they block the thread that they run in; what was told before stays."""
    monkeypatch.setattr(_diagnosis, "_SILENT_SECONDS", 0.2)
    ours, theirs = socket.socketpair()

    class Hanging(Plain):
        async def check(self) -> AsyncIterator[Check]:
            yield Check("moon", "ok", "it is full")
            ours.recv(1)

    with ours, theirs:
        status, (moon, hanging) = diagnose(Hanging)
        theirs.send(b".")

    assert (2, "moon") == (status, moon["name"])
    assert "nothing more was found out in 0.2 s" == hanging["text"]


def test_a_backend_that_hangs_is_not_waited_for(
    diagnose: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is the one look at a backend without checks."""
    monkeypatch.setattr(_diagnosis, "_SILENT_SECONDS", 30)
    monkeypatch.setattr(_store_checks, "_SECONDS", 0.2)

    class Mute(Plain):
        async def peek(self, id: str) -> State[bytes]:
            import anyio  # noqa: PLC0415 - of its own event loop

            await anyio.sleep_forever()
            raise AssertionError

    begun = time.monotonic()
    status, (check,) = diagnose(Mute)

    assert (2, "problem") == (status, check["status"])
    assert "has not answered in 0.2 s" in check["text"]
    assert time.monotonic() - begun < 30


def test_passwords_are_not_shown(
    here: Run, env: dict[str, str], closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the URL nor in what a server or a driver says."""
    monkeypatch.setenv("DP_TOKEN", "geheim-token")
    for url in (
        f"postgresql://anna:geheim@{closed}/x",
        f"postgresql://{closed}/x?password=geheim",
        f"http://anna:geheim@{closed}",
        f"http://{closed}",
        "other://anna:geheim@x",
    ):
        env["DP_URL"] = url
        done = here("doctor")
        assert 2 == done.returncode
        assert b"geheim" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stdout + done.stderr


def test_a_store_of_others_that_is_not_made_yet_is_a_warning(diagnose: Any) -> None:
    """It is not asked for a promise, which might make it."""

    class Unmade(Plain):
        async def is_made(self) -> bool:
            return False

        async def peek(self, id: str) -> State[bytes]:
            raise AssertionError("asked")

    status, (check,) = diagnose(Unmade)

    assert (1, "warning") == (status, check["status"])
    assert "there is no store at" in check["text"]


def test_a_backend_of_others_that_keeps_terms_has_no_warning(diagnose: Any) -> None:
    """Nothing is said of what it does not lack."""

    class Whole(MemoryBackend):
        check = None  # type: ignore[assignment] # it has none

        def __init__(self) -> None:
            super().__init__("memory:whole")

    status, (check,) = diagnose(Whole)

    assert (0, "ok") == (status, check["status"])


@pytest.mark.parametrize("error", [BackendUnavailableError("the moon is away; wait")])
def test_a_backend_that_cannot_be_made_is_a_problem(
    diagnose: Any, error: Exception
) -> None:
    """Its own error is told, as one of a store that was asked."""

    class Unmakable(Plain):
        def __init__(self) -> None:
            raise error

    status, (check,) = diagnose(Unmakable)

    assert (2, "problem") == (status, check["status"])
    assert "the moon is away" in check["text"]


def test_checks_of_others_that_fail_are_a_problem(diagnose: Any) -> None:
    """With an error of ours: what it says, and what to do."""

    class Failing(Plain):
        async def check(self) -> AsyncIterator[Check]:
            yield Check("moon", "ok", "it is full")
            raise BackendUnavailableError("the tide is away; wait for the night")

    status, (moon, store) = diagnose(Failing)

    assert (2, "ok", "problem") == (status, moon["status"], store["status"])
    assert ("the tide is away", "wait for the night") == (
        store["text"],
        store["advice"],
    )
