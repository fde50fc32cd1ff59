"""``dp list`` and ``dp prune``: what a store holds is found, and cleaned up."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

import dp_core as dp
from dp_core import PromiseInfo, Rejected, Resolved, Terms
from dp_core.cli import _table
from dp_core.cli._commands import _asking, _list
from dp_core.cli._table import Table, cut, width
from dp_core.testing import DeadlineClock
from support.core.program import PROGRAM, Done, Run

Ids = Callable[..., list[str]]


@pytest.fixture
def ids(here: Run) -> Ids:
    """Return a function that lists, and returns the ids, as JSON and as rows say."""

    def ids(*words: str) -> list[str]:
        done, rows = here("list", "--json", *words), here("list", *words)
        assert (0, b"") == (done.returncode, done.stderr)
        assert (0, b"") == (rows.returncode, rows.stderr)
        found = [json.loads(line)["promiseId"] for line in done.stdout.splitlines()]
        assert found == [line.split()[0] for line in rows.stdout.decode().splitlines()]
        return found

    return ids


def fill(url: str, many: Iterable[str]) -> None:
    """Resolve promises with 1, one after the other."""

    async def resolve_all() -> None:
        async with dp.connect(url) as promises:
            for id in many:
                await promises.promise(id).resolve(1)

    anyio.run(resolve_all)


def cut_off(url: str, id: str) -> None:
    """Damage the record of a promise in a directory."""
    name = sha256(id.encode()).hexdigest()
    path = Path(url.removeprefix("file:"), "p", name[:2], f"{name}.json")
    path.write_bytes(path.read_bytes()[:-20])


# list -----------------------------------------------------------------------


def test_promises_are_found(here: Run, ids: Ids, anywhere: str) -> None:
    """By state, tags and prefix, in their order or from the newest; so many at most."""
    a, b, c = (f"{anywhere}{name}" for name in "abc")
    here("create", a, "--tag", "kind=approval", "--tag", "n=1")
    here("create", b, "--tag", "kind=approval", "--tag", "n=2")
    here("resolve", b, "5")
    here("reject", c, "no")
    find = partial(ids, "--prefix", anywhere)

    assert [a, b, c] == find()
    assert [c, b, a] == find("--newest")
    assert [a, b] == find("--limit", "2")
    assert [[a], [b], [c]] == [
        find("--state", state) for state in ("pending", "resolved", "rejected")
    ]
    assert [a, b] == find("--tag", "kind=approval")
    assert [b] == find("--tag", "kind=approval", "--tag", "n=2")
    assert [] == find("--tag", "kind=approval", "--state", "rejected")
    assert [] == ids("--prefix", f"{anywhere}x")


def test_a_line_is_the_info_of_the_wire(here: Run, anywhere: str) -> None:
    """Each line of JSON is what ``dp info`` says of that promise, to the byte."""
    id = f"{anywhere}ä\n"
    here("create", id, "--deadline", "3d", "--tag", "a=b", "--data", "[1.50]")
    here("resolve", id, '"\u2028\\n"', "--by", "alice")

    line = here("list", "--json", "--prefix", anywhere).stdout
    assert here("info", "--json", id).stdout == line
    assert 1 == line.count(b"\n")
    assert here("--json", "list", "--prefix", anywhere).stdout == line


def test_all_pages_are_told(
    here: Run, ids: Ids, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page, once; a limit may end in the middle of one."""
    monkeypatch.setattr(_list, "MAX_LIMIT", 7)
    many = [f"id-{n:03}" for n in range(30)]
    fill(env["DP_URL"], many)

    assert many == ids()
    assert many[:10] == ids("--limit", "10")
    assert many[:-8:-1] == ids("--limit", "7", "--newest")


def test_a_page_is_told_before_the_next_is_asked_for(
    here: Run,
    env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    """What is known is printed, and the pages after it are not waited for."""
    monkeypatch.setattr(_list, "MAX_LIMIT", 1)
    env["DP_URL"] = "memory:paged"
    fill(env["DP_URL"], ["one", "two"])
    store = type(dp.connect(env["DP_URL"]).backend)
    whole = store.list  # type: ignore[attr-defined]
    printed = []

    async def watched(self: object, *arguments: object) -> object:
        printed.append(len(capsysbinary.readouterr().out))
        return await whole(self, *arguments)

    monkeypatch.setattr(store, "list", watched)
    here("list")

    nothing, first, *_ = printed
    assert 0 == nothing < first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--state", "open"), "not one of 'pending', 'resolved', 'rejected'"),
        (("--tag", "order"), "write KEY=VALUE, such as order=17"),
        (("--tag", "a\x1b=c"), "has ':', '=' or a control character"),
        (("--prefix", "\udcff"), "not UTF-8"),
        (("--limit", "0"), "--limit"),
        (("--limit", "many"), "--limit"),
    ],
)
def test_a_wrong_question_is_refused(
    here: Run, words: tuple[str, ...], message: str
) -> None:
    """In one line, on stderr."""
    done = here("list", *words)

    assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
    assert done.stderr.startswith(b"dp: ")
    assert message in done.stderr.decode()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_cannot_be_read_is_named(
    here: Run,
    env: dict[str, str],
    form: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others are told all the same, and the exit code is 1."""
    fill(env["DP_URL"], ["good", "cut"])

    async def settle() -> None:
        async with dp.connect(env["DP_URL"]) as promises:
            await promises.backend.settle("strange", Resolved(b"NaN"))

    anyio.run(settle)
    cut_off(env["DP_URL"], "cut")

    done = here("list", *form)

    assert (1, 1) == (done.returncode, done.stdout.count(b"\n"))
    assert b"good" in done.stdout
    first, second = sorted(done.stderr.decode().splitlines())
    assert first.startswith("dp: 'cut' cannot be read: ")
    assert second.startswith("dp: 'strange' cannot be read: the store holds what no")
    monkeypatch.setattr(_asking, "_NAMED", 1)
    _, more = here("list", *form).stderr.decode().splitlines()
    assert "dp: nor can 1 other" == more


def test_a_closed_pipe_ends_it_quietly(env: dict[str, str]) -> None:
    """``dp list | head`` complains of nothing, and does not say that all was told."""
    fill(env["DP_URL"], ["id"])
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, "list"], env=env, stdout=write, stderr=-1, check=False
    )
    os.close(write)

    assert (2, b"") == (done.returncode, done.stderr)


# The table ------------------------------------------------------------------


NOW = datetime.now(UTC)
INFOS = [
    PromiseInfo(
        "approve-17",
        dp.Pending(),
        Terms(NOW + timedelta(days=3), tags={"kind": "approval", "a": "b"}),
        created_at=NOW - timedelta(hours=2),
    ),
    PromiseInfo(
        "漢字 é👍" * 20,
        Resolved(b'"' + b"x" * 1_000_000 + b'"', by="alice"),
        created_at=NOW - timedelta(days=400),
        settled_at=NOW - timedelta(seconds=12),
        settled_by="alice",
    ),
    PromiseInfo(
        "x",
        Rejected("deadline\npassed"),
        Terms(NOW, tags={"a\u202e": "\u202e"}),
        created_at=NOW,
        settled_at=NOW,
        expired=True,
    ),
]


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables be made at one moment."""
    monkeypatch.setattr(_table, "now", lambda: NOW)


@pytest.mark.parametrize("columns", [1, 10, 35, 50, 80, 200])
def test_rows_fit_the_terminal(columns: int) -> None:
    """Whatever is cut says so; characters that are two columns wide count as two."""
    rows = list(Table(columns).rows(INFOS))

    assert len(INFOS) + 1 == len(rows)
    assert [] == [row for row in rows if width(row) > columns]
    assert rows[2].endswith("…")


def test_a_row_says_what_is_known() -> None:
    """Id, state, since when, until when, outcome and tags; the head is for people."""
    head, first, second, third = Table(300).rows(INFOS)

    assert ["ID", "STATE", "SINCE", "DEADLINE", "OUTCOME,", "TAGS"] == head.split()
    assert "approve-17 pending 2h ago in 3d a=b kind=approval" == " ".join(
        first.split()
    )
    assert " resolved  12s ago " in second
    assert "xxx… by alice" in second
    last = r"x rejected 0s ago deadline\u000apassed by its deadline a\u202e=\u202e"
    assert last == " ".join(third.split())
    assert head.index("STATE") == first.index("pending") == third.index("rejected")


def test_a_terminal_gets_a_head(
    here: Run, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the rows are cut to its width; in a pipe they are not."""
    fill(env["DP_URL"], ["x" * 99])
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal, monkeypatch.context() as patch:  # noqa: PTH123 - a descriptor
        patch.setattr(sys, "stdout", terminal)
        patch.setenv("COLUMNS", "50")
        patch.setenv("NO_COLOR", "1")
        assert 0 == here("list").returncode
        head, row = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)

    assert head.startswith("ID ")
    assert (True, True) == (row.startswith("xxx"), "…  resolved" in row)
    assert width(head) <= 50 >= width(row)
    assert here("list").stdout.startswith(b"x" * 99 + b"  resolved")


def test_a_pipe_gets_whole_rows() -> None:
    """Without a terminal there is no head, and no id, tag or name is cut."""
    first, second, third = Table(None).rows(INFOS)

    assert second.startswith("漢字 é👍" * 20)
    assert first.endswith("a=b kind=approval")
    assert width(second[: second.index("resolved")]) == first.index("pending")
    assert third.startswith("x ")


def test_later_pages_keep_the_columns() -> None:
    """The first page decides; a longer id later is cut on a terminal, not in a pipe."""
    for columns in (80, None):
        table = Table(columns)
        assert [] == list(table.rows([]))
        *_, first = table.rows(INFOS[:1])
        (later,) = table.rows([PromiseInfo("longer-than-the-first", dp.Pending())])
        if columns is None:
            assert later.startswith("longer-than-the-first  pending")
        else:
            assert first.index("pending") == later.index("pending")
            assert later.startswith("longer-th…  ")


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("漢字", 4, "漢字"),
        ("漢字", 3, "漢…"),
        ("漢字", 2, "…"),
        ("e\u0301\u0301\u0301a", 2, "e\u0301\u0301\u0301a"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
    ],
)
def test_a_text_is_cut_to_its_columns(text: str, columns: int, expected: str) -> None:
    """A wide character has two, and a mark over another none."""
    assert expected == cut(text, columns)


# prune ----------------------------------------------------------------------


def test_prune_disposes_of_what_is_settled_and_old(
    here: Run, ids: Ids, env: dict[str, str], deadline_clock: DeadlineClock
) -> None:
    """Of that alone: not of what is pending, or younger, or has other tags."""
    env["DP_URL"] = "memory:prune"
    here("create", "pending", "--tag", "a=b")
    for id in ("one", "two"):
        here("create", id, "--tag", "a=b")
        here("resolve", id, "1")
    here("reject", "bad", "no")
    here("resolve", "other", "1")
    deadline_clock.advance(timedelta(days=91))
    here("resolve", "young", "1")
    prune = partial(here, "prune", "--settled-before", "90d")

    assert b"disposed of 0 promises\n" == prune("--prefix", "y").stdout
    assert b"disposed of 2 promises\n" == prune("--tag", "a=b").stdout
    assert ["pending", "bad", "other", "young"] == ids()
    assert b'{"disposed":1}\n' == prune("--state", "rejected", "--json").stdout
    assert b"disposed of 1 promise\n" == prune().stdout
    assert ["pending", "young"] == ids()
    moment = f"{deadline_clock.now + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    done: Done = here("prune", "--settled-before", moment)
    assert (0, b"disposed of 1 promise\n") == (done.returncode, done.stdout)
    assert ["pending"] == ids()


def test_prune_works_on_each_store(here: Run, ids: Ids, anywhere: str) -> None:
    """On those, too, whose clocks are their own."""
    for n in range(3):
        here("resolve", f"{anywhere}{n}", "1")

    done = here("prune", "--settled-before", "0s", "--prefix", anywhere)

    assert (0, b"disposed of 3 promises\n") == (done.returncode, done.stdout)
    assert [] == ids("--prefix", anywhere)


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_prune_goes_on_past_what_cannot_be_read(
    here: Run, env: dict[str, str], form: tuple[str, ...]
) -> None:
    """All others are disposed of and counted; each that stays is named, and it is 1."""
    fill(env["DP_URL"], ["a", "cut 1", "b", "cut 2", "c"])
    for id in ("cut 1", "cut 2"):
        cut_off(env["DP_URL"], id)

    done = here("prune", "--settled-before", "0s", *form)

    count = b'{"disposed":3}' if form else b"disposed of 3 promises"
    assert (1, count + b"\n") == (done.returncode, done.stdout)
    assert ["dp: 'cut 1' cannot be read", "dp: 'cut 2' cannot be read"] == sorted(
        line.partition(": the ")[0] for line in done.stderr.decode().splitlines()
    )
    assert b"" == here("list").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing option '--settled-before'"),
        (("--settled-before", "old"), "such as 3d, 2h30m or 90s"),
        (("--settled-before", "1d", "--state", "pending"), "not one of 'resolved'"),
    ],
)
def test_prune_that_is_not_clear_disposes_of_nothing(
    here: Run, ids: Ids, words: tuple[str, ...], message: str
) -> None:
    """One line says what is missing or wrong."""
    here("resolve", "id", "1")
    done = here("prune", *words)

    assert (2, b"", 1) == (done.returncode, done.stdout, done.stderr.count(b"\n"))
    assert message in done.stderr.decode()
    assert ["id"] == ids()
