"""``dp copy``: settled promises go from one store to another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
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
    return run("copy", *arguments, text=text)


def run(*arguments: object, text: str | None = None) -> Done:
    """Run the program."""
    return subprocess.run(
        [sys.executable, "-m", "dp_core", *map(str, arguments)],
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
    target = tmp_path / "target"
    async with dp.connect(source) as here:
        assert isinstance(here.backend, Listable)
        order = [id for id, _ in await here.backend.settled(None, 1000)]
    with running(f"file:{target}") as server:
        url = f"http://127.0.0.1:{server.port}?retry=2"
        # A shard that is far from the first, where no file can be made.
        shard = target / "p" / sha256(order[70].encode()).hexdigest()[:2]
        # Making and opening a store may take longer than the limit above.
        await settle(url.partition("?")[0], {"made": 1})
        shard.rmdir()
        shard.write_bytes(b"")

        done = copy(source, url)
        assert 2 == done.returncode
        (after,) = [
            line.removeprefix("to go on from here, add: --after ").strip("'")
            for line in done.stderr.splitlines()
            if line.startswith("to go on")
        ]
        assert after in order[31:70:32]
        shard.unlink()
        shard.mkdir(0o700)
        rest = copy(source, url, "--after", after)

    left = len(order) - order.index(after) - 1
    assert rest.stdout.startswith(f"{left} settled promises")
    expected = [dp.Resolved(n) for n in MANY.values()]
    assert expected == await states(f"file:{target}", MANY)


def record_of(store: str, id: str) -> Path:
    """Return the file that holds a promise's first outcome."""
    name = sha256(id.encode()).hexdigest()
    return Path(store.removeprefix("file:")) / "p" / name[:2] / f"{name}.json"


def damage(store: str, id: str, how: str) -> None:
    """Change a record as a disk, an editor or a restored backup may."""
    record = record_of(store, id)
    content = record.read_bytes()
    record.write_bytes(
        {
            "a value": content.replace(b'"resolved": ', b'"resolved": 1'),
            "cut": content[: len(content) // 2],
            "empty": b"",
            "garbage": b"\xff\x00" * 100,
            "another id": content.replace(id.encode(), b"other"),
        }[how]
    )


@pytest.mark.parametrize("how", ["a value", "cut", "empty", "garbage", "another id"])
async def test_one_damaged_record_does_not_stop_the_rest(
    source: str, target: str, how: str
) -> None:
    """All others are copied; it is named at the end, by its id where that is left."""
    await settle(source, MANY)
    damage(source, "id ä7", how)

    done = copy(source, target)

    assert 1 == done.returncode
    assert f"99 settled promises of {source} are in {target}\n" == done.stdout
    title, line = done.stderr.splitlines()
    assert "dp: 1 promises could not be copied:" == title
    known = how in {"a value", "cut"}
    name = sha256("id ä7".encode()).hexdigest()
    assert line.startswith(
        "'id ä7': " if known else f"a promise whose id is lost ({name}"
    )
    others = {id: n for id, n in MANY.items() if id != "id ä7"}
    assert list(map(dp.Resolved, others.values())) == await states(target, others)
    assert 1 == copy(source, target).returncode


async def test_many_damaged_records_do_not_stop_it_either(
    source: str, target: str
) -> None:
    """A whole page of records whose ids are lost is gone past."""
    await settle(source, MANY)
    for id in list(MANY)[:80]:
        damage(source, id, "garbage")

    done = copy(source, target)

    assert 1 == done.returncode
    assert done.stdout.startswith("20 settled promises")
    assert 81 == len(done.stderr.splitlines())


STRANGE = {
    "surrogate": dp.Resolved(b'"\\ud800"'),
    "twice": dp.Resolved(b'{"a":1,"a":2}'),
    "deep": dp.Resolved(b"[" * 200 + b"]" * 200),
    "nan": dp.Resolved(b"NaN"),
    "huge": dp.Resolved(b"[1e999]"),
    "bytes": dp.Resolved(b'"\xff"'),
    "no json": dp.Resolved(b"{"),
}


@pytest.mark.parametrize("case", STRANGE)
async def test_what_no_store_takes_is_carried_to_none(
    source: str, target: str, case: str
) -> None:
    """An older version's or a stranger's outcome is named; peek says it in a line."""
    await settle(source, {"good": 1})
    async with dp.connect(source) as here:
        await here.backend.settle(case, STRANGE[case])

    done = copy(source, target)
    by_name = copy(source, target, "--ids", "-", text=f"{case}\ngood\n")

    for end in (done, by_name):
        assert 1 == end.returncode
        assert end.stdout.startswith("1 settled promises")
        assert f"{case!r}: the store holds what no store takes" in end.stderr
    assert [dp.Pending()] == await states(target, {case: 0})
    for command in ("peek", "get", "resolve"):
        seen = run(command, case, "--url", source)
        assert 2 == seen.returncode
        assert 1 == seen.stderr.count("\n")
    with pytest.raises(dp.CorruptPromiseError):
        await states(source, {case: 0})


async def test_ids_from_windows(source: str, target: str) -> None:
    """A list of ids may have a byte order mark, CR LF, and an empty line at the end."""
    await settle(source, {"one": 1, "zwei ä": 2})
    text = '\ufeffone\r\n"zwei \\u00e4"\r\n\r\n'

    done = copy(source, target, "--ids", "-", text=text)

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("2 settled promises")


async def test_a_line_without_an_end_is_refused(source: str, target: str) -> None:
    """A list of ids is read line by line, and a line is not read without limit."""
    await settle(source, {"one": 1})

    done = copy(source, target, "--ids", "/dev/zero")

    assert 2 == done.returncode
    assert "a line has more than 16,384 bytes" in done.stderr


async def test_a_password_is_not_shown(source: str, target: str) -> None:
    """What copy says of the stores has no secret in it."""
    done = copy("http://user:secret@localhost", target)

    assert 2 == done.returncode
    assert "secret" not in done.stderr


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


async def test_ids_that_are_none_are_refused(source: str, target: str) -> None:
    """A line that begins like JSON is JSON, and --after is one of them."""
    await settle(source, {"one": 1})

    broken = copy(source, target, "--ids", "-", text='"open\n')
    strange = copy(source, target, "--ids", "-", "--after", "x", text="y\n")

    assert (2, 2) == (broken.returncode, strange.returncode)
    assert "is not a valid id" in broken.stderr
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
