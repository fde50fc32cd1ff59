"""``dp create`` and ``dp info``: the terms of a promise; who settles it, and when."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import TextIOWrapper
from typing import Any

import pytest

from dp_core.testing import DeadlineClock
from support.core.program import Done, Run, said
from support.docs.documents import blocks


def told(done: Done) -> dict[str, Any]:
    """Return the JSON that a command printed."""
    assert b"" == done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def facts(done: Done) -> Mapping[str, str]:
    """Return what is said about a promise, line by line."""
    lines = done.stdout.decode().splitlines()
    return {line[:10].rstrip(): line[11:] for line in lines}


# create ---------------------------------------------------------------------


def test_create_gives_terms(here: Run, anywhere: str) -> None:
    """On each store: what was asked for is there, for people and for programs."""
    id = f"{anywhere}approve ä"
    words = ("--otherwise-error", "nobody", "--tag", "order=1=7", "--tag", "a=")
    done = here("create", id, "--deadline", "3d", *words, "--data", '{"n": 1.20}')

    assert (0, b"") == (done.returncode, done.stderr)
    seen = facts(done)
    assert (id, "pending") == (seen["id"], seen["state"])
    assert seen["deadline"].endswith("Z (in 3d)")
    assert ("rejected nobody", '{"n":1.20}') == (seen["otherwise"], seen["data"])
    assert [b"a=", b"order=1=7"] == re.findall(
        rb"^tag +(.*)$", done.stdout, re.MULTILINE
    )
    asked = here("info", id, "--json")
    assert (3, 1) == (asked.returncode, asked.stdout.count(b"\n"))
    assert b'"data":{"n":1.20}' in asked.stdout
    info = told(asked)
    assert {"a": "", "order": "1=7"} == info["tags"]
    created, deadline = (
        datetime.fromisoformat(info[name]) for name in ("createdAt", "deadline")
    )
    assert timedelta() <= deadline - created - timedelta(days=3) < timedelta(minutes=1)


def test_a_script_takes_the_id(env: dict[str, str]) -> None:
    """The lines of the page on dp work, where an error ends them, too."""
    (script,) = [b.text for b in blocks("docs/reference/dp.md") if "$(dp" in b.text]
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{script}"], env=env, capture_output=True, check=False
    )

    assert (3, "pending") == (done.returncode, facts(done)["state"])


def test_create_may_be_repeated(here: Run, anywhere: str) -> None:
    """Equal terms are ours; of others it is told, and they change nothing."""
    words = ("create", f"{anywhere}id", "--deadline", "2h", "--tag", "a=b")
    for _ in range(2):
        assert (0, b"") == (here(*words).returncode, here(*words).stderr)
        assert 0 == here(*words, "--no-exist-ok").returncode

        # Null is for no data.
        assert b"" == here(*words, "--data", "null", "--no-exist-ok").stderr

    other = here("create", f"{anywhere}id", "--tag", "a=c")
    word = b"dp: already created, with other terms; yours changed nothing\n"
    assert (0, word, "a=b") == (other.returncode, other.stderr, facts(other)["tag"])
    refused = here("create", f"{anywhere}id", "--tag", "a=c", "--no-exist-ok")
    assert (2, b"") == (refused.returncode, refused.stdout)
    assert b"was created with other terms; take another id" in refused.stderr


def test_an_id_is_minted_where_none_is_given(here: Run, anywhere: str) -> None:
    """It is alone on stdout, so that a script can take it; the rest is on stderr."""
    done = here("create", "--tag", "a=b")
    other = here("create", "--json")

    assert 0 == done.returncode
    assert re.fullmatch(rb"[0-9a-f]{32}\n", done.stdout)
    assert b"tag        a=b\n" in done.stderr
    assert "a=b" == facts(here("info", done.stdout.decode().strip()))["tag"]
    assert done.stdout.decode().strip() != told(other)["promiseId"]


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ((), {"error": "deadline passed"}),
        (("--otherwise-error", "5"), {"error": "5"}),
        (("--otherwise-value", "5"), {"value": 5}),
        (("--otherwise-value", "no"), {"value": "no"}),
        (("--otherwise-value", "null"), {"value": None}),
    ],
)
def test_the_deadline_settles(
    here: Run,
    deadline_clock: DeadlineClock,
    words: tuple[str, ...],
    outcome: dict[str, Any],
) -> None:
    """Whoever asks after it is told so; a late settle loses, and is told."""
    here("create", "id", "--deadline", "90s", *words)
    assert 3 == here("peek", "id").returncode
    deadline_clock.advance(timedelta(seconds=91))

    code = 1 if "error" in outcome else 0
    late = here("resolve", "id", "late", "--json")
    assert (code, outcome) == (late.returncode, json.loads(late.stdout))
    assert b"yours changed nothing" in late.stderr
    info = told(here("info", "id", "--json"))
    assert outcome.items() <= info.items()
    assert (True, None) == (info["expired"], info["settledBy"])
    assert facts(here("info", "id"))["settled"].endswith(") by its deadline")


def test_a_value_comes_from_stdin(here: Run) -> None:
    """A dash stands for it, for one of the options."""
    done = here("create", "id", "--data", "-", "--json", input=b"[1,\n 2]\n")
    both = here("create", "x", "--data", "-", "--otherwise-value", "-")

    assert [1, 2] == told(done)["data"]
    assert (2, b"") == (both.returncode, both.stdout)
    assert b"only one of the options can be read from stdin" in both.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--deadline", "soon"), "such as 3d, 2h30m or 90s"),
        (("--deadline", "90"), "such as 3d, 2h30m or 90s"),
        (("--deadline", "1h2d"), "such as 3d, 2h30m or 90s"),
        (("--deadline", "999999999999w"), "is too long"),
        (("--deadline", "9999999d"), "not within the years 1 to 9999"),
        (("--deadline", "2026-11-26T14:30:00"), "with its zone, such as"),
        (("--deadline", "2026-11-26"), "with its zone, such as"),
        (("--deadline", "2026-13-26T14:30:00Z"), "not a valid moment"),
        (("--otherwise-error", "no"), "such as --deadline 3d"),
        (
            ("--deadline", "1s", "--otherwise-error", "", "--otherwise-value", ""),
            "exclude each other",
        ),
        (
            ("--deadline", "1s", "--otherwise-value", '{"a'),
            "for --otherwise-value: not a JSON value",
        ),
        (("--data", "{"), "for --data: not a JSON value"),
        (("--data", "NaN"), "for --data: not a JSON value"),
        (("--data", f'"{"x" * (1 << 20)}"'), "limit"),
        (("--tag", "order"), "write KEY=VALUE, such as order=17"),
        (("--tag", "=17"), "write KEY=VALUE, such as order=17"),
        (("--tag", "a=b", "--tag", "a=c"), "is there twice"),
        (("--tag", "a:b=c"), "has ':', '=' or a control character"),
        (("--tag", "a\x1b=c"), "has ':', '=' or a control character"),
        (("--tag", f"a={'x' * 257}"), "over the limit of 256"),
        (("--tag", "dp.kind=delivery"), "begins with 'dp.'"),
        (("--tag", "a=\udcff"), "not UTF-8"),
        ([f"--tag=k{n}=v" for n in range(33)], "over the limit of 32"),
    ],
)
def test_terms_that_cannot_be_are_refused(
    here: Run, words: tuple[str, ...], message: str
) -> None:
    """One line says what to write instead, and nothing is created."""
    done = here("create", "id", *words)

    assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
    assert done.stderr.startswith(b"dp: ")
    assert message in done.stderr.decode()
    assert "say --text" not in done.stderr.decode()
    here("resolve", "other", "1")
    assert ["id", "state"] == list(facts(here("info", "id")))


@pytest.mark.parametrize("id", ["", "x" * 1025, "\udcff"])
def test_an_id_that_cannot_be_is_refused(here: Run, id: str) -> None:
    """An empty one is not taken for none; each command says it in a line."""
    for words in (("create",), ("info",), ("watch",), ("watch", "good")):
        done = here(*words, id)
        assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
        assert done.stderr.startswith(b"dp: invalid promise id ")


# info -----------------------------------------------------------------------


def test_info_says_who_settled(here: Run, anywhere: str) -> None:
    """``--by`` of resolve and reject is kept; the exit code is that of the state."""
    yes, no = f"{anywhere}yes", f"{anywhere}no"
    assert 0 == here("resolve", yes, "5", "--by", "alice ä").returncode
    assert 1 == here("reject", no, "two\nlines", "--by", "bob").returncode
    late = here("resolve", yes, "5", "--by", "eve")
    assert (0, b"5\n", b"") == said(late)

    resolved, rejected = here("info", yes), here("info", no)
    assert (0, b"") == (resolved.returncode, resolved.stderr)
    assert ("resolved", "5") == (facts(resolved)["state"], facts(resolved)["value"])
    assert facts(resolved)["settled"].endswith(" ago) by alice ä")
    assert 1 == rejected.returncode
    assert r"two\u000alines" == facts(rejected)["error"]
    assert "bob" == json.loads(here("info", no, "--json").stdout)["settledBy"]


@pytest.mark.parametrize("command", ["resolve", "reject"])
@pytest.mark.parametrize("name", ["", "x" * 257, "\udcff"])
def test_a_name_that_cannot_be_settles_nothing(
    here: Run, command: str, name: str
) -> None:
    """The error is about the name."""
    here("resolve", "other", "1")
    done = here(command, "id", "x", "--by", name)

    assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
    assert b"NAME of --by" in done.stderr
    assert 3 == here("peek", "id").returncode


def test_strangers_text_does_not_forge_a_line(here: Run) -> None:
    """Whatever ids, tags, names and values hold, a line of ours stays one."""
    evil = "a\nstate resolved\x1b[31m\u202e"
    here("create", evil, "--tag", f"k={evil}", "--data", json.dumps({"a": evil}))
    here("reject", evil, evil, "--by", evil)

    for done in (here("info", evil), here("list"), here("watch", evil)):
        assert 1 == sum(line.count("rejected") for line in lines_of(done))
        text = done.stdout.decode()
        assert not {"\x1b", "\u202e"} & set(text)
        assert "\\u000astate resolved\\u001b[31m\\u202e" in text
    assert 1 == len(lines_of(here("list")))


def lines_of(done: Done) -> list[str]:
    """Return the lines of stdout, however a terminal ends them."""
    return done.stdout.decode().splitlines()


def test_what_nobody_created_or_settled_is_pending(here: Run, anywhere: str) -> None:
    """There is nothing else to say, in words; in JSON all of it is null."""
    here("resolve", f"{anywhere}other", "1")
    done = here("info", f"{anywhere}id")

    assert (3, {"id": f"{anywhere}id", "state": "pending"}) == (
        done.returncode,
        facts(done),
    )
    info = told(here("info", f"{anywhere}id", "--json"))
    names = ("deadline", "otherwise", "tags", "data", "createdAt", "cursor")
    assert [None] * len(names) == [info[name] for name in names]


# Stores and streams ---------------------------------------------------------

EACH = {
    "create": ("create", "id"),
    "create a new one": ("create",),
    "info": ("info", "id"),
    "list": ("list",),
    "prune": ("prune", "--settled-before", "1d"),
}


@pytest.mark.parametrize("case", EACH)
def test_a_store_that_keeps_outcomes_only_says_so(
    here: Run, plain: str, case: str
) -> None:
    """It is an error of one line, with what works there."""
    done = here(*EACH[case], "--url", plain)

    assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
    assert b"keeps outcomes only: no terms, and no list" in done.stderr


def test_a_name_that_is_not_kept_is_told(here: Run, plain: str) -> None:
    """Where only outcomes are kept, who settled is lost, and the outcome is not."""
    done = here("resolve", "id", "5", "--by", "alice", "--url", plain)

    word = b"dp: the store keeps outcomes only: NAME of --by is not kept\n"
    assert (0, b"5\n", word) == said(done)
    assert (0, b"5\n", b"") == said(here("resolve", "id", "5", "--url", plain))


@pytest.mark.parametrize("case", EACH)
def test_a_store_that_is_away_is_an_error(here: Run, case: str) -> None:
    """One line names it; nothing is claimed."""
    done = here(*EACH[case], "--url", "http://127.0.0.1:9?retry=0.01")

    assert (2, b"") == (done.returncode, done.stdout)
    assert b"127.0.0.1:9" in done.stderr.splitlines()[-1]


def test_a_question_makes_no_store(here: Run, env: dict[str, str]) -> None:
    """A misspelt directory is not made, and stderr says that there is no store."""
    path = env["DP_URL"].removeprefix("file:")
    for case, code in (("info", 3), ("list", 0), ("prune", 0)):
        done = here(*EACH[case])
        assert code == done.returncode
        assert b"dp: there is no store at 'file:" in done.stderr
    assert not os.path.exists(path)  # noqa: PTH110 - as short as it can be


@contextmanager
def stdout_at(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let stdout of this process be a file."""
    with (
        monkeypatch.context() as patch,
        TextIOWrapper(open(descriptor, "wb")) as stream,
    ):
        patch.setattr(sys, "stdout", stream)
        yield


@pytest.mark.parametrize("case", [*EACH, "watch"])
def test_an_answer_that_nobody_gets_is_not_known(
    here: Run, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk it is 2 and a line; of a pipe that closed, list is silent."""
    here("resolve", "id", "1")
    words = EACH.get(case, ("watch", "id"))
    for is_pipe in (False, True):
        if is_pipe:
            read, descriptor = os.pipe()
            os.close(read)
        else:
            descriptor = os.open("/dev/full", os.O_WRONLY)
        with stdout_at(descriptor, monkeypatch):
            done = here(*words)
        assert 2 == done.returncode
        why = b"Broken pipe" if is_pipe else b"No space left on device"
        if is_pipe and case in {"list", "watch"}:
            assert b"" == done.stderr
        else:
            assert b"dp: the output cannot be written: %b\n" % why in done.stderr
