"""Failures: what passes, what does not, and what nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import anyio
import pytest
from psycopg import OperationalError
from psycopg.sql import SQL, Identifier

from dp_backends.sql._rows import absent
from dp_backends.sql._sessions import Failure
from dp_backends.sql.postgresql import _session
from dp_backends.sql.postgresql._clock import ServerClock
from dp_backends.sql.postgresql._connecting import Server
from dp_backends.sql.postgresql._failures import not_connected
from dp_backends.sql.postgresql._queries import Queries
from dp_backends.sql.postgresql._session import PostgresSession
from dp_backends.sql.postgresql._url import parse_url
from dp_core import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
    Pending,
    Resolved,
    connect,
)
from dp_core.backend import now
from support.postgresql.server import PASSWORD, USER, PostgresServer


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"tcp": True, "password": "wrong"}, AccessDeniedError, "password"),
        ({"database": "nowhere"}, BackendUnavailableError, "does not exist"),
        ({"user": "nobody at all"}, BackendUnavailableError, "does not exist"),
        ({"sslmode": "verify-full", "tcp": True}, BackendUnavailableError, "SSL"),
    ],
    ids=["password", "database", "role", "ssl"],
)
async def test_what_does_not_pass_is_said_at_once(
    postgresql: PostgresServer, change: dict[str, object], error: type, reason: str
) -> None:
    """Nothing of it is tried again, and the error has the server's words."""
    url = postgresql.url(retry="1000", **change)  # type: ignore[arg-type]
    async with connect(url) as promises:
        with anyio.fail_after(60), pytest.raises(error, match=reason) as caught:
            await promises.promise("a").peek()

    assert PASSWORD not in str(caught.value)
    assert "wrong" not in str(caught.value)


async def test_a_password_that_is_missing(postgresql: PostgresServer) -> None:
    """The error says where to write one."""
    url = postgresql.url(tcp=True, password="").replace(":@", "@")
    async with connect(url) as promises:
        with pytest.raises(AccessDeniedError, match="PGPASSWORD"):
            await promises.promise("a").peek()


async def test_no_server_is_waited_for(unused: str) -> None:
    """For as long as the URL says; then the error has the reason."""
    async with connect(f"{unused}?retry=0.1") as promises:
        with pytest.raises(BackendUnavailableError, match="refused"):
            await promises.promise("a").peek()


@pytest.fixture
def unused() -> str:
    """Return the URL of no server."""
    return "postgresql://u@127.0.0.1:1/d"


async def test_too_many_connections_pass(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """A call goes on when another session has ended."""
    async with connect(url) as promises:
        await promises.promise("a").resolve(1)
    postgresql.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(schema)))
    limited = SQL("ALTER ROLE {} CONNECTION LIMIT 0").format(Identifier(schema))
    rights = SQL("GRANT {} TO {}").format(Identifier(USER), Identifier(schema))
    postgresql.execute(limited)
    postgresql.execute(rights)
    states: list[object] = []

    async def peek() -> None:
        states.append(await promises.promise("a").peek())

    mine = url.replace(f"//{USER}@", f"//{schema}@")
    async with (
        connect(f"{mine}&retry=60") as promises,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(peek)
        # Until it was refused at least once, if it ever is.
        await anyio.sleep(0.1)
        before = list(states)
        more = SQL("ALTER ROLE {} CONNECTION LIMIT 9").format(Identifier(schema))
        postgresql.execute(more)

    assert [] == before
    assert [Resolved(1)] == states


def test_a_refusal_in_another_language_is_told_in_the_end() -> None:
    """Libpq gives no code for it: it is tried again, and has the server's words."""
    text = "FATAL:  Passwort-Authentifizierung für Benutzer »clerk« fehlgeschlagen"
    failure = not_connected("postgresql://there", OperationalError(text))

    assert (True, False) == (failure.is_passing, failure.is_unknown)
    assert "Benutzer »clerk« fehlgeschlagen" in failure.error.reason


# In the middle of a call --------------------------------------------------------


@pytest.fixture
def ended(
    postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    """Return a function that lets the server end the session once, before a step."""

    def end(step: str) -> list[str]:
        done: list[str] = []
        original = getattr(PostgresSession, step)

        def ending(session: PostgresSession, *values: object) -> object:
            if not done:
                done.append(step)
                pid = session._connection.info.backend_pid
                postgresql.execute("SELECT pg_terminate_backend(%s, 60000)", pid)
            return original(session, *values)

        monkeypatch.setattr(PostgresSession, step, ending)
        return done

    return end


@pytest.mark.parametrize("step", ["read", "begin", "write", "commit", "ring"])
async def test_a_session_that_is_ended_is_replaced(
    url: str, ended: Callable[[str], list[str]], step: str
) -> None:
    """A settle and a create are done all the same, and once."""
    async with connect(url) as promises:
        await promises.promise("a").resolve(0)
        done = ended(step)
        won = await promises.promise("b").resolve(1)
        lost = await promises.promise("b").resolve(2)
        await promises.create("c", data=3)

    assert [step] == done
    assert [Resolved(1)] * 2 == [won, lost]


async def test_nobody_knows_of_a_dispose(
    url: str, ended: Callable[[str], list[str]]
) -> None:
    """It is not repeated where it may be done; before that, it is."""
    async with connect(url) as promises:
        await promises.promise("a").resolve(0)
        ended("write")
        await promises.promise("a").dispose()
        after_write = await promises.promise("a").peek()
        ended("commit")
        with pytest.raises(OutcomeUnknownError, match="look at it"):
            await promises.promise("a").dispose()

    assert Pending() == after_write


def test_what_was_written_alone_may_be_done(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """
    Rows without tags are written by a statement that is a transaction by itself.

    So nobody knows, if the session ends then; before that, nothing was done.
    """
    server, queries = Server(parse_url(url)), Queries(schema)
    found: list[bool] = []
    for is_late in (False, True):
        session = PostgresSession(server, queries, ServerClock(), Event())
        session.begin()
        change = absent(b"a").settle(Resolved(b"1"), now())
        if is_late:
            session.write([change])
        pid = session._connection.info.backend_pid
        postgresql.execute("SELECT pg_terminate_backend(%s, 60000)", pid)
        with pytest.raises(Failure) as caught:
            session.read([b"a"])
        found.append(caught.value.is_unknown)
        session.close()

    assert [False, True] == found


async def test_one_call_fails_alone(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """Those that came with it are done."""
    told: dict[str, object] = {}

    async def settle(id: str) -> None:
        try:
            told[id] = await promises.promise(id).resolve(1)
        except BackendError as error:
            told[id] = str(error)

    async with connect(url) as promises:
        await promises.promise("warm").resolve(1)
        check = SQL("ALTER TABLE {}.promises ADD CONSTRAINT odd CHECK (id <> 'bad')")
        postgresql.execute(check.format(Identifier(schema)))
        async with anyio.create_task_group() as tasks:
            for id in ("a", "bad", "b"):
                tasks.start_soon(settle, id)

    assert "odd" in str(told.pop("bad"))
    assert {"a": Resolved(1), "b": Resolved(1)} == told


def test_much_is_written_in_parts(
    url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes no statement of more than a GiB."""
    monkeypatch.setattr(_session, "_BYTES", 100)
    server, queries = Server(parse_url(url)), Queries(schema)
    session = PostgresSession(server, queries, ServerClock(), Event())
    ids = [f"{n:02}".encode() for n in range(20)]
    sent: list[int] = []
    columns = Queries.columns

    def counted(self: Queries, statement: str, rows: Any) -> Any:
        sent.append(len(rows))
        return columns(self, statement, rows)

    monkeypatch.setattr(Queries, "columns", counted)
    session.begin()
    written = session.write(
        [absent(id).settle(Resolved(b"x" * 30), now()) for id in ids]
    )
    session.commit()
    _, rows = session.read(ids)
    session.close()

    assert set(ids) == set(written)
    assert all(row.is_settled for row in rows.values())
    assert 20 == sum(sent)
    assert max(sent) * 32 <= 100


async def test_a_store_that_vanishes_is_made_again(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """Somebody has dropped the schema: its promises are pending, and can be settled."""
    async with connect(url) as promises:
        await promises.promise("a").resolve(1)
        postgresql.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
        state = await promises.promise("a").peek()
        won = await promises.promise("a").resolve(2)

    assert Pending() == state
    assert Resolved(2) == won


async def skip(server: PostgresServer, schema: str, when: str) -> None:
    """Make a store, and let its database skip some changes."""
    async with connect(server.url(schema=schema)) as promises:
        await promises.promise("old").resolve(0)
    server.execute(
        f"CREATE FUNCTION {schema}.skip() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'"
    )
    server.execute(
        f"CREATE TRIGGER foreign_one BEFORE {when} ON {schema}.promises FOR EACH ROW "
        f"WHEN (NEW.id <> 'good') EXECUTE FUNCTION {schema}.skip()"
    )


@pytest.mark.parametrize("operation", ["resolve", "create", "dispose"])
async def test_what_a_trigger_skips_fails(
    postgresql: PostgresServer, schema: str, url: str, operation: str
) -> None:
    """The error says what to look for; others are written, nothing is claimed."""
    await skip(postgresql, schema, "INSERT OR UPDATE")
    async with connect(url) as promises:
        operations = {
            "resolve": lambda: promises.promise("new").resolve(1),
            "create": lambda: promises.create("new"),
            "dispose": lambda: promises.promise("new").dispose(),
        }
        failed: list[BaseException] = []

        async def refused() -> None:
            with pytest.raises(BackendError) as caught:
                await operations[operation]()
            failed.append(caught.value)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(refused)
                tasks.start_soon(promises.promise("good").resolve, 2)

        assert [type(error) for error in failed] == [BackendError]
        assert "look for a trigger" in str(failed[0])
        assert Pending() == await promises.promise("new").peek()
        assert Resolved(2) == await promises.promise("good").peek()


async def test_a_rule_is_an_error_of_the_server(
    postgresql: PostgresServer, schema: str, url: str
) -> None:
    """The server takes no such statement where there are rules, and says so."""
    async with connect(url) as promises:
        await promises.promise("old").resolve(0)
        postgresql.execute(
            f"CREATE RULE foreign_one AS ON INSERT TO {schema}.promises "
            "DO INSTEAD NOTHING"
        )
        with anyio.fail_after(60), pytest.raises(BackendError) as caught:
            await promises.promise("new").resolve(1)

        assert "INSERT RETURNING" in str(caught.value)
        assert not isinstance(caught.value, OutcomeUnknownError)
        assert Pending() == await promises.promise("new").peek()
