"""``dp copy``: promises go from one store to another, with their terms."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import anyio
import pytest

import dp_core as dp
from dp_core.backend import Registry
from dp_core.cli._commands import _copy
from support.core.program import Done, Run, said
from support.core.stores import MANY, create, infos, settle, settle_bytes, states
from support.server_process import running

# Outcomes -------------------------------------------------------------------


def test_outcomes_are_the_same_in_the_other_store(
    here: Run, source: str, target: str
) -> None:
    """Values, rejections, and any id; what is pending or disposed of is not there."""
    outcomes = {**MANY, "no": ValueError("no"), "\n☃'": None, "o": [1, {"a": 2.5}]}
    settle(source, {**outcomes, "gone": 1})
    here("dispose", "gone", "--url", source)

    done = here("copy", source, target)

    assert (0, f"103 promises of {source} are in {target}\n".encode(), b"") == said(
        done
    )
    assert states(source, outcomes) == states(target, outcomes)
    assert [dp.Pending()] == states(target, ["gone"])


def test_the_bytes_of_a_value_are_the_same(here: Run, source: str, target: str) -> None:
    """A value is not read and written anew: a number keeps all its digits."""
    outcome = dp.Resolved(b'[1.50, 1E-7, "\\u00e9"]')
    settle_bytes(source, "id", outcome)

    here("copy", source, target)

    async def peek() -> dp.State[bytes]:
        async with dp.connect(target) as there:
            return await there.backend.peek("id")

    assert outcome == anyio.run(peek)


def test_what_is_there_stays(here: Run, source: str, target: str) -> None:
    """The first settle wins; one that differs is named, and is exit code 1."""
    settle(source, {"same": {"a": 1, "b": 2}, "other": 1, "new": 2})
    settle_bytes(target, "same", dp.Resolved(b'{"a": 1, "b": 2}'))
    settle(target, {"other": ValueError("mine")})

    done = here("copy", source, target)

    assert 1 == done.returncode
    word = f"dp: 'other' has another outcome, or other terms, in {target}\n"
    assert word.encode() == done.stderr
    assert [dp.Rejected("mine"), dp.Resolved(2)] == states(target, ["other", "new"])
    assert 1 == here("copy", source, target).returncode


# Terms ----------------------------------------------------------------------

DEADLINE = datetime(2999, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        *(("file", kind) for kind in ("file", "memory", "http", "sqlite")),
        *(("sqlite", kind) for kind in ("file", "sqlite")),
    ],
    indirect=["source"],
)
def test_terms_are_copied(here: Run, source: str, target: str, kind: str) -> None:
    """Of what is pending, and of what is settled, with who did it; again, too."""
    tags, data = {"kind": "approval", "n": "ä=:"}, {"amount": 1.5}
    create(
        source,
        "pending",
        deadline=DEADLINE,
        otherwise=dp.Resolved("no"),
        tags=tags,
        data=data,
    )
    create(source, "bare")
    create(source, "settled", tags=tags, data=[data])
    here("resolve", "settled", "5", "--by", "alice", "--url", source)
    create(source, "expired", deadline=timedelta())

    def check(url: str) -> None:
        for _ in range(2):
            done = here("copy", source, url)
            assert (0, b"") == (done.returncode, done.stderr)
        assert done.stdout.startswith(b"4 promises of ")

        def facts(info: dp.PromiseInfo[object]) -> object:
            return info.id, info.state, info.terms, info.settled_by

        expected = sorted(map(facts, infos(source)), key=str)
        assert expected == sorted(map(facts, infos(url)), key=str)
        assert 4 == len(expected)

    if kind == "http":
        with running("memory:") as server:
            check(f"http://127.0.0.1:{server.port}")
    else:
        check(target.replace("file:", f"{kind}:"))


def test_other_terms_there_are_told(here: Run, source: str) -> None:
    """They stay, and are named; the same data in another spelling is not another."""
    # One that keeps values as they were spelt.
    target = f"memory:{token_hex(4)}"
    for id in ("same", "other", "spelt"):
        create(source, id, data={"a": 1})
    create(target, "other", data={"a": 2})
    asked = dp.Terms(data=b'{ "a":1}')

    async def spell() -> None:
        async with dp.connect(target) as there:
            assert isinstance(there.backend, Registry)
            await there.backend.create("spelt", asked)

    anyio.run(spell)

    done = here("copy", source, target)

    assert 1 == done.returncode
    word = f"dp: 'other' has another outcome, or other terms, in {target}\n"
    assert word.encode() == done.stderr
    kept = {info.id: info.terms and info.terms.data for info in infos(target)}
    assert {"same": {"a": 1}, "other": {"a": 2}, "spelt": {"a": 1}} == kept


def test_a_settled_promise_there_gets_no_terms_of_another(
    here: Run, source: str, target: str
) -> None:
    """Where another outcome is there, it is another promise, and stays as it is."""
    create(source, "id", tags={"a": "b"})
    settle(source, {"id": 1})
    settle(target, {"id": 2})

    assert 1 == here("copy", source, target).returncode
    (info,) = infos(target)
    assert (dp.Resolved(2), None) == (info.state, info.terms)


def test_a_store_that_keeps_outcomes_only_gets_these(
    here: Run, source: str, plain: str
) -> None:
    """It is told how many have no terms there, and what could not be copied at all."""
    create(source, "pending", deadline=DEADLINE)
    create(source, "settled", tags={"a": "b"})
    settle(source, {"settled": 1, "never created": 2})

    done = here("copy", source, plain)

    assert 1 == done.returncode
    assert done.stdout.startswith(b"2 promises of ")
    title, named, lost = done.stderr.decode().splitlines()
    assert "dp: 1 promises could not be copied:" == title
    assert named.startswith(f"dp: 'pending': the store '{plain}' keeps outcomes only")
    assert "dp: 1 of them have no terms there: that store keeps outcomes only" == lost
    expected = [dp.Resolved(1), dp.Resolved(2)]
    assert expected == states(plain, ["settled", "never created"])
    here("dispose", "pending", "--url", source)
    again = here("copy", source, plain)
    assert (1, f"{lost}\n".encode()) == (again.returncode, again.stderr)


# Going on -------------------------------------------------------------------


def test_it_goes_on_where_it_stopped(here: Run, source: str, tmp_path: Path) -> None:
    """When TO fails, the error says how to go on; that copies the rest, and no more."""
    settle(source, MANY)
    target = tmp_path / "target"
    order = [info.id for info in infos(source)]
    with running(f"file:{target}") as server:
        url = f"http://127.0.0.1:{server.port}?retry=2"
        # A shard that is far from the first, where no file can be made.
        shard = target / "p" / sha256(order[70].encode()).hexdigest()[:2]
        # Making and opening a store may take longer than the limit above.
        settle(url.partition("?")[0], {"made": 1})
        shard.rmdir()
        shard.write_bytes(b"")

        done = here("copy", source, url)
        assert 2 == done.returncode
        (after,) = [
            line.removeprefix("dp: to go on from here, add: --after ").strip("'")
            for line in done.stderr.decode().splitlines()
            if line.startswith("dp: to go on")
        ]
        assert after in order[31:70:32]
        shard.unlink()
        shard.mkdir(0o700)
        rest = here("copy", source, url, "--after", after)

    left = len(order) - order.index(after) - 1
    assert rest.stdout.startswith(f"{left} promises".encode())
    expected = [dp.Resolved(n) for n in MANY.values()]
    assert expected == states(f"file:{target}", MANY)


def test_a_place_that_is_not_there_is_an_error(
    here: Run, source: str, target: str
) -> None:
    """``--after`` names what is listed; else nothing is copied, as it may be a slip."""
    settle(source, {"one": 1})

    done = here("copy", source, target, "--after", "two")

    assert 2 == done.returncode
    assert b"--after 'two' is not in" in done.stderr
    assert [dp.Pending()] == states(target, ["one"])


# Ids by name ----------------------------------------------------------------


def test_ids_from_windows(here: Run, source: str, target: str) -> None:
    """A list of ids may have a byte order mark, CR LF, and an empty line at the end."""
    settle(source, {"one": 1, "zwei ä": 2})
    text = '\ufeffone\r\n"zwei \\u00e4"\r\n\r\n'

    done = here("copy", source, target, "--ids", "-", input=text.encode())

    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout.startswith(b"2 promises")


def test_a_line_without_an_end_is_refused(here: Run, source: str, target: str) -> None:
    """A list of ids is read line by line, and a line is not read without limit."""
    settle(source, {"one": 1})

    done = here("copy", source, target, "--ids", "/dev/zero")

    assert 2 == done.returncode
    assert b"a line has more than 16,384 bytes" in done.stderr


def test_a_password_is_not_shown(here: Run, target: str) -> None:
    """What copy says of the stores has no secret in it."""
    done = here("copy", "http://user:secret@localhost", target)

    assert 2 == done.returncode
    assert b"secret" not in done.stderr


def test_a_store_that_cannot_list_is_told_the_ids(
    here: Run, plain: str, target: str
) -> None:
    """Named promises are copied, once each, if they are settled."""
    settle(plain, {"plain": 1, 'a"b\nc': 2, "unnamed": 3})
    ids = ["plain", 'a"b\nc', "pending", "plain"]
    lines = "".join(f"{json.dumps(id)}\n" for id in ids[1:]) + "plain\n"

    without = here("copy", plain, target)
    done = here("copy", plain, target, "--ids", "-", input=lines.encode())

    assert 2 == without.returncode
    assert b"keeps outcomes only" in without.stderr
    assert b"name the promises to copy with --ids" in without.stderr
    assert done.stdout.startswith(b"2 promises")
    expected = [dp.Resolved(1), dp.Resolved(2), dp.Pending()]
    assert expected == states(target, ["plain", 'a"b\nc', "unnamed"])


def test_named_promises_bring_their_terms(here: Run, source: str, target: str) -> None:
    """Also what is pending is copied by its name if it was created."""
    create(source, "created", tags={"a": "b"})

    done = here("copy", source, target, "--ids", "-", input=b"created\nnot\n")

    assert done.stdout.startswith(b"1 promises")
    (info,) = infos(target)
    assert dp.Terms(tags={"a": "b"}) == info.terms


def test_ids_that_name_nothing_are_told(
    here: Run, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id is neither guessed nor passed over; what is pending is no failure."""
    settle(source, {"i0": 1, "i1": 2})
    copy = partial(here, "copy", source, target, "--ids", "-")
    title = "dp: {} of --ids are neither created nor settled in FROM:"

    done: Done = copy(input=b"i1\nzz\n i0 \n")

    assert (0, b"1 promises") == (done.returncode, done.stdout[:10])
    told = done.stderr.decode().splitlines()
    assert [title.format(2), "dp: ' i0 '", "dp: 'zz'"] == [told[0], *sorted(told[1:])]
    assert [dp.Resolved(2), dp.Pending()] == states(target, ["i1", "i0"])
    right = copy(input=b"i0\ni1\n")
    assert (0, b"") == (right.returncode, right.stderr)
    monkeypatch.setattr(_copy, "_NAMED", 1)
    told = copy(input=b"zz\nyy\nxx\n").stderr.decode().splitlines()
    assert [title.format(3), "dp: and 2 more"] == [told[0], told[-1]]
    assert 3 == len(told)


def test_ids_that_are_none_are_refused(here: Run, source: str, target: str) -> None:
    """A line that begins like JSON is JSON, and --after is one of them."""
    settle(source, {"one": 1})
    copy = partial(here, "copy", source, target, "--ids", "-")

    broken: Done = copy(input=b'"open\n')
    strange: Done = copy("--after", "x", input=b"y\n")

    assert (2, 2) == (broken.returncode, strange.returncode)
    assert b"is not a valid id" in broken.stderr
    assert b"'x' is none of --ids" in strange.stderr
