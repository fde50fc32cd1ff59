"""Sessions: what a server must be like, and what roles may be set to."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from dp_backends.sql.postgresql import _connecting
from dp_backends.sql.postgresql._checks import check_server
from dp_backends.sql.postgresql._connecting import OwnConnection
from dp_backends.sql.postgresql._url import parse_url
from dp_core import BackendUnavailableError, Pending, Promises, Resolved, connect
from support.postgresql.pooler import pooler
from support.postgresql.server import USER, PostgresServer, running

SETTINGS = {
    "bytea_output": "escape",
    "client_encoding": "SQL_ASCII",
    "DateStyle": "German",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "1ms",
    "IntervalStyle": "sql_standard",
    "lock_timeout": "1ms",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "statement_timeout": "100ms",
    "synchronous_commit": "off",
    "TimeZone": "Asia/Tokyo",
}
OURS = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "enable_seqscan": "off",
    "idle_in_transaction_session_timeout": "10000",
    "lock_timeout": "10000",
    "statement_timeout": "0",
    "synchronous_commit": "on",
}


async def work(promises: Promises) -> list[object]:
    """Use all that there is; return what was told."""
    await promises.create("a", tags={"kind": "π"}, data={"how": "'\\"})
    won = await promises.promise("a").resolve("日本", by="Ω")
    info = await promises.promise("a").info()
    found = [info.id async for info in promises.list(tags={"kind": "π"})]
    await promises.promise("b").reject("\\x41 ä")
    return [won, info.settled_by, found, await promises.promise("b").peek()]


async def test_settings_of_others_break_nothing(
    postgresql: PostgresServer, schema: str
) -> None:
    """Neither those of a role, nor a database that cannot keep all texts."""
    statement = SQL("CREATE DATABASE {0} ENCODING LATIN1 TEMPLATE template0 OWNER {1}")
    postgresql.execute(statement.format(Identifier(schema), Identifier(USER)))
    for name, value in SETTINGS.items():
        statement = SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
        names = Identifier(USER), Identifier(schema), Identifier(name)
        postgresql.execute(statement.format(*names, value))

    async with connect(postgresql.url(database=schema)) as promises:
        told = await work(promises)
        session = promises.backend._store._worker._session  # type: ignore[attr-defined]
        query = "SELECT name, setting FROM pg_settings WHERE name = ANY(%b)"
        settings = dict(session.all(query, list(OURS)))

    assert [Resolved("日本"), "Ω", ["a"]] == told[:3]
    assert OURS == settings


async def test_a_role_that_waits_for_readers_goes_on_doing_so(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """It is more than is asked for: `remote_apply` is not turned down to `on`."""
    role = f"{schema}_waits"
    postgresql.execute(f"CREATE ROLE {role} LOGIN IN ROLE {USER}")
    postgresql.execute(f"ALTER ROLE {role} SET synchronous_commit = remote_apply")

    async with connect(url.replace(f"//{USER}@", f"//{role}@")) as promises:
        assert Pending() == await promises.promise("a").peek()
        session = promises.backend._store._worker._session  # type: ignore[attr-defined]
        query = "SELECT setting FROM pg_settings WHERE name = ANY(%b)"
        ((setting,),) = session.all(query, ["synchronous_commit"])

    assert "remote_apply" == setting


async def test_a_server_that_is_too_old_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would do without what a look at changes rests on."""
    monkeypatch.setattr(_connecting, "_OLDEST", 990_000)
    with pytest.raises(BackendUnavailableError, match=r"older than .*upgrade it"):
        await peek(url)


async def test_what_the_system_lacks_is_waited_for_and_said(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors, for one: of the connection, and of what is said on it."""
    real, refused = OwnConnection.connect, []

    def connect_later(*arguments: Any, **named: Any) -> Any:
        if len(refused) < 2:
            refused.append(arguments)
            raise OSError(24, "Too many open files")
        return real(*arguments, **named)

    monkeypatch.setattr(OwnConnection, "connect", connect_later)
    assert Pending() == await peek(f"{url}&retry=20")
    assert 2 == len(refused)
    refused.clear()
    monkeypatch.setattr(OwnConnection, "connect", lambda *_, **__: connect_never())
    with pytest.raises(BackendUnavailableError, match="Too many open files"):
        await peek(f"{url}&retry=0.1")


def connect_never() -> Any:
    """Raise what the system says where no descriptor is left."""
    raise OSError(24, "Too many open files")


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Return a server that the tests may start in other ways."""
    with running() as server:
        yield server


def restarted(server: PostgresServer, **settings: str) -> None:
    """Start a server again, with other settings."""
    server.stop()
    server._settings |= settings
    server.start()


def test_a_server_without_fsync_is_refused(own_server: PostgresServer) -> None:
    """A power cut would take back what was acknowledged."""
    restarted(own_server, fsync="off")
    try:
        with pytest.raises(BackendUnavailableError, match="fsync=off"):
            anyio.run(peek, own_server.url())
    finally:
        restarted(own_server, fsync="on")


def test_a_standby_answers_questions_only(own_server: PostgresServer) -> None:
    """A write says at once which server to name, and how."""
    anyio.run(settle, own_server.url())
    own_server.stop()
    (signal := own_server.data / "standby.signal").touch()
    own_server.start()
    try:
        state = anyio.run(peek, own_server.url())
        with pytest.raises(BackendUnavailableError, match=r"standby.*read-write"):
            anyio.run(settle, own_server.url(), "b")
        said = [
            check.text
            for check in check_server(parse_url(own_server.url()))
            if check.status == "problem"
        ]
    finally:
        own_server.stop()
        signal.unlink()
        own_server.start()

    assert Resolved(1) == state
    assert "the server is a standby, and takes no changes" == said[0]


async def peek(url: str) -> object:
    """Return the state of a promise."""
    async with connect(url) as promises:
        return await promises.promise("a").peek()


async def settle(url: str, id: str = "a") -> None:
    """Settle a promise."""
    async with connect(url) as promises:
        await promises.promise(id).resolve(1)


async def test_a_pooler_hands_sessions_around(
    postgresql: PostgresServer, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A store behind it works, and leaves nothing behind in its sessions.

    It takes a LISTEN, and tells nobody anything: who waits looks, and the log says so
    once.
    """
    with pooler(postgresql) as url:
        async with (
            connect(f"{url}?schema={schema}") as one,
            connect(f"{url}?schema={schema}") as other,
        ):
            told = await work(one)
            settled: list[object] = []
            with caplog.at_level(logging.WARNING), anyio.fail_after(60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(wait, one, "c", settled)
                    while not caplog.records:
                        await other.promise("d").peek()
                        await anyio.sleep(0.01)
                    await other.promise("c").resolve("seen")
                assert Pending() == await other.promise("e").peek()
        with psycopg.connect(url, autocommit=True) as connection:
            left = [
                connection.execute("SHOW lock_timeout").fetchone(),
                connection.execute(
                    "SELECT name FROM pg_prepared_statements"
                ).fetchone(),
            ]

    assert [Resolved("日本"), "Ω", ["a"]] == told[:3]
    assert ["seen"] == settled
    assert 1 == len(caplog.records)
    assert "notifications do not arrive" in caplog.text
    assert [("0",), None] == left


async def wait(promises: Promises, id: str, told: list[object]) -> None:
    """Wait for a promise."""
    told.append(await promises.promise(id).get())


FORK = """
import gc, os, sys, anyio
from dp_backends.sql._working import _worker
from dp_backends.sql.postgresql import _ear
from dp_core import connect

url = sys.argv[1]
promises = connect(url)
store = promises.backend._store

async def settle(id):
    await promises.promise(id).resolve(os.getpid())

async def hear():
    with anyio.move_on_after(60) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(promises.promise("never").get)
            while not store._ear._hears:
                await anyio.sleep(0.01)
            scope.cancel()

def sessions():
    worker, ear = store._worker._session, store._ear._connection
    return [worker._connection.info.backend_pid, ear.info.backend_pid]

anyio.run(settle, "parent")
anyio.run(hear)
before = sessions()
child = os.fork()
if not child:
    assert store._worker._session is None and store._ear._connection is None
    anyio.run(settle, "child")
    anyio.run(hear)
    assert not set(before) & set(sessions())
    anyio.run(promises.aclose)
    # What the parent has is not closed here, not even by its end.
    _worker._LEFT.clear()
    _ear._PARENTS.clear()
    del promises, store
    gc.collect()
    os._exit(0)
assert 0 == os.waitpid(child, 0)[1]
anyio.run(settle, "afterwards")

async def wait():
    other = connect(url)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other.promise("b").resolve, "heard")
        assert "heard" == await promises.promise("b").get()
    assert child == await promises.promise("child").get()

anyio.run(wait)
assert before == sessions(), (before, sessions())
print("ok")
"""


def test_a_child_leaves_its_parents_sessions_alone(url: str) -> None:
    """It has its own; those of the parent work when it has ended."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ("ok\n", "", 0) == (done.stdout, done.stderr, done.returncode)


async def test_nothing_is_left_open(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """A handle that is closed, or forgotten, has no session of the server."""
    name = f"application_name={schema}"
    async with connect(f"{url}&{name}") as promises:
        await promises.promise("a").resolve(1)
        with anyio.move_on_after(0.01):
            await promises.promise("b").get()
    forgotten = connect(f"{url}&{name}")
    await forgotten.promise("a").peek()
    del forgotten
    gc.collect()

    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with anyio.fail_after(60):
        while postgresql.execute(query, schema) != [(0,)]:  # noqa: ASYNC110
            await anyio.sleep(0.01)
