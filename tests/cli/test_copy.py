"""``dp copy``: settled promises go from one store to another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex

import anyio
import pytest

import dp_core as dp
from dp_core.backend import Listable
from support.server_process import running

Done = subprocess.CompletedProcess[str]


def copy(*arguments: object, text: str | None = None) -> Done:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "dp_core", "copy", *map(str, arguments)],
        capture_output=True,
        check=False,
        input=text,
        text=True,
        timeout=120,
    )


async def settle(url: str, outcomes: Mapping[str, object]) -> None:
    """Settle promises: with a value, or an Exception's text."""
    async with dp.connect(url) as promises:
        for id, outcome in outcomes.items():
            if isinstance(outcome, Exception):
                await promises.promise(id).reject(str(outcome))
            else:
                await promises.promise(id).resolve(outcome)


async def states(url: str, ids: Iterator[str] | Mapping[str, object]) -> list[object]:
    """Return the states of promises."""
    async with dp.connect(url) as promises:
        return [await promises.promise(id).peek() for id in ids]


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return the URL of a store to copy from."""
    return f"file:{tmp_path}/source"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """Return the URL of a store to copy to."""
    return f"file:{tmp_path}/target"


MANY = {f"id ä{n}": n for n in range(100)}


async def test_outcomes_are_the_same_in_the_other_store(
    source: str, target: str
) -> None:
    """Values, rejections, and any id; what is pending or disposed of is not there."""
    outcomes = {**MANY, "no": ValueError("no"), "\n☃'": None, "o": [1, {"a": 2.5}]}
    await settle(source, {**outcomes, "gone": 1})
    async with dp.connect(source) as promises:
        await promises.promise("gone").dispose()

    done = copy(source, target)

    assert f"103 settled promises of {source} are in {target}\n" == done.stdout
    assert 0 == done.returncode
    assert await states(source, outcomes) == await states(target, outcomes)
    assert [dp.Pending()] == await states(target, {"gone": 0})


async def test_the_bytes_of_a_value_are_the_same(source: str, target: str) -> None:
    """A value is not read and written anew: a number keeps all its digits."""
    outcome = dp.Resolved(b'[1.50, 1E-7, "\\u00e9"]')
    async with dp.connect(source) as here, dp.connect(target) as there:
        await here.backend.settle("id", outcome)
        copy(source, target)

        assert outcome == await there.backend.peek("id")


async def test_what_is_there_stays(source: str, target: str) -> None:
    """The first completion wins; one that differs is named, and is exit code 1."""
    await settle(source, {"same": {"a": 1, "b": 2}, "other": 1, "new": 2})
    async with dp.connect(target) as there:
        await there.backend.settle("same", dp.Resolved(b'{"a": 1, "b": 2}'))
        await there.promise("other").reject("mine")

    done = copy(source, target)

    assert 1 == done.returncode
    assert f"'other' has another outcome in {target}\n" == done.stderr
    expected = [dp.Rejected("mine"), dp.Resolved(2)]
    assert expected == await states(target, {"other": 0, "new": 0})
    assert 1 == copy(source, target).returncode


async def test_it_goes_on_where_it_stopped(source: str, tmp_path: Path) -> None:
    """When TO fails, the error says how to go on; that copies the rest, and no more."""
    await settle(source, MANY)
    full = tmp_path / "full"
    with running(f"file:{full}") as server:
        url = f"http://127.0.0.1:{server.port}"
        async with dp.connect(source) as here:
            assert isinstance(here.backend, Listable)
            order = [id for id, _ in await here.backend.settled(None, 1000)]
        # What is damaged in TO cannot be settled there, and is far from the first.
        broken = order[70]
        await settle(f"file:{full}", {broken: 0})
        (record,) = [
            path
            for path in full.rglob("*.json")
            if broken.encode() in path.read_bytes()
        ]
        record.write_bytes(b"{}")

        done = copy(source, url)
        assert 2 == done.returncode
        (after,) = [
            line.removeprefix("to go on from here, add: --after ").strip("'")
            for line in done.stderr.splitlines()
            if line.startswith("to go on")
        ]
        assert order[63] == after
        record.unlink()
        rest = copy(source, url, "--after", after)

    assert rest.stdout.startswith("36 settled promises")
    expected = [dp.Resolved(n) for n in MANY.values()]
    assert expected == await states(f"file:{full}", MANY)


async def test_a_store_that_cannot_list_is_told_the_ids(
    source: str, target: str
) -> None:
    """From a server, named promises are copied, once each, if they are settled."""
    await settle(source, {"plain": 1, 'a"b\nc': 2, "unnamed": 3})
    ids = ["plain", 'a"b\nc', "pending", "plain"]
    lines = "".join(f"{json.dumps(id)}\n" for id in ids[1:]) + "plain\n"
    with running(source) as server:
        url = f"http://127.0.0.1:{server.port}"
        without = copy(url, target)
        done = copy(url, target, "--ids", "-", text=lines)

    assert 2 == without.returncode
    assert "it cannot list its promises; name them with --ids" in without.stderr
    assert done.stdout.startswith("2 settled promises")
    expected = [dp.Resolved(1), dp.Resolved(2), dp.Pending()]
    names = {"plain": 0, 'a"b\nc': 0, "unnamed": 0}
    assert expected == await states(target, names)


def test_ids_that_are_none_are_refused(source: str, target: str) -> None:
    """A line that begins like JSON is JSON, and --after is one of them."""
    broken = copy(source, target, "--ids", "-", text='"open\n')
    strange = copy(source, target, "--ids", "-", "--after", "x", text="y\n")

    assert (2, 2) == (broken.returncode, strange.returncode)
    assert "is not a valid JSON string" in broken.stderr
    assert "'x' is none of --ids" in strange.stderr


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_pages_have_all_and_nothing_twice(kind: str, tmp_path: Path) -> None:
    """In pages of any size, one after the other, also when an id has gone."""
    url = {"file": f"file:{tmp_path}/s", "memory": f"memory:{token_hex(4)}"}[kind]
    await settle(url, MANY)
    async with dp.connect(url) as promises:
        listing = promises.backend
        assert isinstance(listing, Listable)
        whole = await listing.settled(None, 1000)
        assert sorted(MANY) == sorted(id for id, _ in whole)
        for size in (1, 7, 100):
            found: list[tuple[str, dp.Outcome[bytes]]] = []
            while page := await listing.settled(found[-1][0] if found else None, size):
                assert len(page) <= size
                found += page
            assert list(whole) == found
        await promises.promise(whole[50][0]).dispose()
        assert whole[51:] == await listing.settled(whole[50][0], 1000)
        assert whole[51:] == await listing.settled(whole[49][0], 1000)


async def test_a_listing_sees_what_is_settled_meanwhile(source: str) -> None:
    """Writers are not in its way, nor it in theirs."""
    async with dp.connect(source) as promises:
        listing = promises.backend
        assert isinstance(listing, Listable)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(settle, source, MANY)
            while len(await listing.settled(None, 1000)) < len(MANY):
                pass
