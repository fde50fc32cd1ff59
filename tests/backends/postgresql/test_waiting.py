"""Waits: one session listens for a whole process, and no change goes unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from threading import Event, Thread

import anyio
import pytest

from dp_backends.sql._rows import absent
from dp_backends.sql.postgresql import _ear
from dp_backends.sql.postgresql._clock import ServerClock
from dp_backends.sql.postgresql._connecting import Server
from dp_backends.sql.postgresql._ear import Ear
from dp_backends.sql.postgresql._queries import CHANGED, Queries
from dp_backends.sql.postgresql._session import PostgresSession
from dp_backends.sql.postgresql._store import PostgresStore, _changes
from dp_backends.sql.postgresql._url import parse_url
from dp_core import Promises, Terms, connect
from dp_core.backend import now
from support.postgresql.server import PostgresServer

FOR_EVER = (10_000.0, 10_000.0)
LISTENING = """
SELECT pid FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'LISTEN%%'
"""


@pytest.fixture
def only_by_hearing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody look unless something was heard, once anything was."""
    monkeypatch.setattr(_ear, "_HEARING", FOR_EVER)


def ear_of(promises: Promises) -> Ear:
    """Return the ear of a handle."""
    store = promises.backend._store  # type: ignore[attr-defined]
    assert isinstance(store, PostgresStore)
    return store._ear


async def hearing(promises: Promises) -> None:
    """Return once it is known that notifications arrive."""
    with anyio.fail_after(60):
        while not ear_of(promises)._hears:  # noqa: ASYNC110 - heard in any thread
            await anyio.sleep(0.001)


@pytest.mark.usefixtures("only_by_hearing")
@pytest.mark.parametrize("kinds", [("asyncio", "trio", "asyncio")])
def test_one_session_listens_for_all(
    postgresql: PostgresServer, url: str, schema: str, kinds: tuple[str, ...]
) -> None:
    """Event loops in threads, with handles of their own or one for all, are told."""
    mine = f"{url}&application_name={schema}"
    shared = connect(mine)
    told: list[object] = []
    listeners: list[int] = []

    async def wait_for_all() -> None:
        async def wait(promises: Promises, id: str) -> None:
            told.append(await promises.promise(id).get())

        with anyio.fail_after(60):
            async with connect(mine) as own, anyio.create_task_group() as tasks:
                for promises in (own, shared):
                    for number in range(3):
                        tasks.start_soon(wait, promises, f"p{number}")

    async def settle() -> None:
        await hearing(shared)
        listeners.extend(pid for (pid,) in postgresql.execute(LISTENING, schema))
        async with connect(url) as other:
            for number in range(3):
                await other.promise(f"p{number}").resolve(number)

    threads = [
        Thread(target=anyio.run, args=(wait_for_all,), kwargs={"backend": kind})
        for kind in kinds
    ]
    for thread in threads:
        thread.start()
    anyio.run(settle)
    for thread in threads:
        thread.join()
    anyio.run(shared.aclose)

    assert [0] * 6 + [1] * 6 + [2] * 6 == sorted(told, key=int)  # type: ignore[call-overload]
    assert 1 == len(listeners)


@pytest.mark.usefixtures("only_by_hearing")
async def test_a_session_that_is_ended_is_replaced(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """What happens in between is looked for, and what happens then is heard."""
    mine = f"{url}&application_name={schema}"
    told: list[object] = []

    async def wait(id: str) -> None:
        told.append(await promises.promise(id).get())

    async with connect(mine) as promises, connect(url) as other:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, "a")
                tasks.start_soon(wait, "b")
                await hearing(promises)
                ((pid,),) = postgresql.execute(LISTENING, schema)
                postgresql.execute("SELECT pg_terminate_backend(%s)", pid)
                await other.promise("a").resolve(1)
                old = [], [(pid,)]
                while postgresql.execute(LISTENING, schema) in old:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
                await hearing(promises)
                await other.promise("b").resolve(2)

    assert [1, 2] == sorted(told)  # type: ignore[type-var]


async def test_a_settled_promise_needs_nobody_who_listens(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """A wait that ends at once opens no session for that."""
    async with connect(f"{url}&application_name={schema}") as promises:
        await promises.promise("a").resolve(1)
        value = await promises.promise("a").get()
        listening = postgresql.execute(LISTENING, schema)

    assert 1 == value
    assert [] == listening


# Looks --------------------------------------------------------------------------


@pytest.fixture
def sessions(url: str, schema: str) -> Iterator[list[PostgresSession]]:
    """Return three sessions of a store that is made."""
    server, queries = Server(parse_url(url)), Queries(schema)
    opened = [
        PostgresSession(server, queries, ServerClock(), Event()) for _ in range(3)
    ]
    opened[0].begin()
    opened[0].commit()
    for session in opened:
        assert session.is_made()
    yield opened
    for session in opened:
        session.close()


def write(session: PostgresSession, *ids: str) -> None:
    """Begin a transaction that creates promises, and leave it open."""
    session.begin()
    created = [absent(id.encode()).create(Terms(), now()) for id in ids]
    session.write([change for change in created if change is not None])


def test_a_look_misses_no_transaction(sessions: list[PostgresSession]) -> None:
    """Not one that was open at the last look, and ends after others that began then."""
    early, late, looking = sessions
    wanted = [b"early", b"late", b"last"]
    ear = Ear("", looking._server.connect)
    write(early, "early", "other")
    since, first = _changes(ear, None, wanted, looking)
    write(late, "late")
    late.commit()
    since, second = _changes(ear, since, wanted, looking)
    write(late, "last")
    early.commit()
    since, third = _changes(ear, since, wanted, looking)
    late.commit()
    since, fourth = _changes(ear, since, wanted, looking)
    _, fifth = _changes(ear, since, wanted, looking)

    assert [[], [b"late"], [b"early"], [b"last"], []] == [
        first,
        second,
        third,
        fourth,
        fifth,
    ]


def test_a_look_at_very_much_looks_at_all(sessions: list[PostgresSession]) -> None:
    """So does one by another session, which may be of another server."""
    writing, other, looking = sessions
    ear = Ear("", looking._server.connect)
    since, _ = _changes(ear, None, [b"wanted"], looking)
    _, by_other = _changes(ear, since, [b"wanted"], other)
    write(writing, *map(str, range(CHANGED)))
    writing.commit()
    _, nothing = _changes(ear, since, [b"wanted"], looking)
    write(writing, "one more")
    writing.commit()
    _, everything = _changes(ear, since, [b"wanted"], looking)

    assert [[b"wanted"], [], [b"wanted"]] == [by_other, nothing, everything]


def test_numbers_that_went_back_are_noticed(sessions: list[PostgresSession]) -> None:
    """The server was restored from a backup, and what was seen may be gone."""
    looking = sessions[0]
    ear = Ear("", looking._server.connect)
    since, _ = _changes(ear, None, [], looking)
    point, wanted = _changes(ear, since._replace(end=10**15), [b"a"], looking)

    assert [b"a"] == wanted
    assert point.end < 10**15


def test_a_store_that_is_gone_is_looked_for(url: str, schema: str) -> None:
    """Before it is made, nothing changes; then all may have."""
    server, queries = Server(parse_url(url)), Queries(schema)
    with closing(PostgresSession(server, queries, ServerClock(), Event())) as session:
        ear = Ear("", server.connect)
        since, before = _changes(ear, None, [b"a"], session)
        since, still = _changes(ear, since, [b"a"], session)
        session.begin()
        session.commit()
        _, made = _changes(ear, since, [b"a"], session)

    assert [[], [], [b"a"]] == [before, still, made]
