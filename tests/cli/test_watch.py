"""``dp watch``, and waits of ``dp get``: outcomes are told as they come."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from support.core.program import PROGRAM, Run, running, said, wait_until_watching
from support.core.terminals import on_terminal


def test_each_outcome_is_a_line(here: Run, anywhere: str) -> None:
    """What is settled already is told at once; each promise once."""
    a, b = f"{anywhere}a", f"{anywhere}b c"
    here("resolve", a, '"x\\ny"')
    here("reject", b, "no\nway")

    done = here("watch", a, b, a)
    assert (1, b"") == (done.returncode, done.stderr)
    lines = {rf'{a} resolved "x\ny"', rf"{b} rejected no\u000away"}
    assert lines == set(done.stdout.decode().splitlines())
    assert 2 == done.stdout.count(b"\n")
    done = here("watch", a, b, "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [
        {"promiseId": a, "value": "x\ny"},
        {"promiseId": b, "error": "no\nway"},
    ] == sorted(told, key=str)
    word = f'{a} resolved "x\\ny"\n'
    assert (0, word.encode(), b"") == said(here("watch", a))


def test_what_comes_later_is_told_when_it_comes(env: dict[str, str], here: Run) -> None:
    """Line by line, while others are still waited for; a disposal is told, too."""
    here("resolve", "made", "1")
    with running("watch", "one", "two", "three", "--json", env=env) as process:
        wait_until_watching(process.pid)
        here("resolve", "two", "2")
        assert b'{"promiseId":"two","value":2}\n' == next_line(process)
        here("dispose", "one")
        assert b'{"promiseId":"one","disposed":true}\n' == next_line(process)
        here("reject", "three", "no")
        output = process.communicate(timeout=60)

        # One was disposed of: whether that is settled is not known.
        assert 2 == process.returncode
    assert (b'{"promiseId":"three","error":"no"}\n', b"") == output


def next_line(process: subprocess.Popen[bytes]) -> bytes:
    """Return the next line that a process prints alone; nothing after a minute."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    return process.stdout.readline() if ready else b""


def test_an_interrupt_ends_it(env: dict[str, str], here: Run) -> None:
    """Ctrl-C exits with 130, and leaves no traceback."""
    here("resolve", "made", "1")
    with running("watch", "one", "two", env=env) as process:
        wait_until_watching(process.pid)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)

    assert (130, b"", b"") == (process.returncode, output[0], output[1].strip())


@pytest.mark.parametrize(
    ("words", "what", "told"),
    [
        (("get", "id"), "'id'", b"1\n"),
        (("watch", "id", "id"), "'id'", b"id resolved 1\n"),
        (("watch", "id", "x"), "2 promises", b"id resolved 1\n"),
    ],
)
def test_who_sits_at_a_terminal_is_told_where_a_wait_is(
    env: dict[str, str],
    dp: Run,
    tmp_path: Path,
    words: tuple[str, ...],
    what: str,
    told: bytes,
) -> None:
    """Once, on stderr: a wait in the wrong directory looks like any other."""
    del env["DP_URL"]
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(
            [*PROGRAM, *words], env=env, cwd=tmp_path, stdout=-1, stderr=theirs
        ) as process,
    ):
        os.close(theirs)
        try:
            ready, _, _ = select.select([terminal], [], [], 60)
            assert ready
            where = f"waiting for {what} in 'file:{tmp_path}/promises'"
            assert where in terminal.read(10_000).decode()
            dp("resolve", "x", "0", env=env, cwd=tmp_path)
            dp("resolve", "id", "1", env=env, cwd=tmp_path)
            assert told in process.communicate(timeout=60)[0]
            with suppress(OSError):
                assert not terminal.read(10_000)
        finally:
            process.kill()
    assert 0 == process.returncode


def test_scripts_are_told_nothing_of_a_wait_that_lasts(
    env: dict[str, str], dp: Run
) -> None:
    """Not in a pipe, and not with ``--json``: what they read stays as it was."""
    dp("resolve", "made", "1")
    words = ("get", "id", "--timeout", "1.5")
    with running(*words, env=env) as process:
        shown = on_terminal([*PROGRAM, *words, "--json"], env)
        assert (b"", b"pending\n") == process.communicate(timeout=60)
    assert 3 == process.returncode
    assert (3, "null\r\n") == shown


def test_without_an_id_there_is_nothing_to_wait_for(here: Run) -> None:
    """It is an error, and not the end of a wait for none."""
    done = here("watch")

    assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
    assert b"Missing argument 'ID...'" in done.stderr


def test_a_store_that_keeps_outcomes_only_can_be_watched(here: Run, plain: str) -> None:
    """To wait for outcomes, a store needs no terms."""
    here("resolve", "id", "5", "--url", plain)

    assert (0, b"id resolved 5\n", b"") == said(here("watch", "id", "--url", plain))


def test_a_disposal_is_told_in_words(env: dict[str, str], here: Run) -> None:
    """For people as for programs."""
    here("resolve", "made", "1")
    with running("watch", "one", env=env) as process:
        wait_until_watching(process.pid)
        here("dispose", "one")
        output = process.communicate(timeout=60)

        assert 2 == process.returncode
    assert (b"one disposed of\n", b"") == output
