"""The schema of a store: made by a write, never somebody else's, brought up to date."""

from __future__ import annotations

import subprocess
from threading import Thread
from typing import Any
from urllib.parse import quote

import anyio
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from dp_backends.sql.postgresql._connecting import Server
from dp_backends.sql.postgresql._queries import Queries
from dp_backends.sql.postgresql._schema import LOCK, Schema, key_of
from dp_backends.sql.postgresql._url import parse_url
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    Pending,
    Resolved,
    connect,
)
from support.postgresql.server import USER, PostgresServer, find_programs, running


def tables(server: PostgresServer, schema: str) -> set[str]:
    """Return the names of all that is in a schema."""
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = "
        "(SELECT oid FROM pg_namespace WHERE nspname = %s)"
    )
    return {name for (name,) in server.execute(query, schema)}


async def test_a_question_makes_nothing(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """Only a write does."""
    async with connect(url) as promises:
        assert Pending() == await promises.promise("a").peek()
        assert [] == [info async for info in promises.list()]
        before = tables(postgresql, schema)
        await promises.promise("a").resolve(1)

    assert set() == before
    assert {"promises", "tags", "numbers"} < tables(postgresql, schema)


async def test_any_name_will_do(postgresql: PostgresServer) -> None:
    """A name is quoted, whatever is in it, also in literals and for psycopg."""
    name = quote(f"""ä" % 'x\\ {postgresql.new_schema()}""")

    async with connect(f"{postgresql.url()}?schema={name}") as promises:
        await promises.create("a", tags={"kind": "odd"})
        won = await promises.promise("a").resolve(1)
        found = [info.id async for info in promises.list(tags={"kind": "odd"})]

    assert Resolved(1) == won
    assert ["a"] == found


@pytest.mark.parametrize("thing", ["TABLE {}.t ()", "FUNCTION {}.f() RETURNS int"])
async def test_a_schema_of_somebody_else_is_left_alone(
    postgresql: PostgresServer, url: str, schema: str, thing: str
) -> None:
    """Neither a question nor a write touches it."""
    body = "" if "TABLE" in thing else " LANGUAGE sql AS 'SELECT 1'"
    postgresql.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}")
    postgresql.execute(f"CREATE {thing.format(schema)}{body}")
    before = tables(postgresql, schema)

    async with connect(url) as promises:
        with pytest.raises(BackendUnavailableError, match="somebody else's"):
            await promises.promise("a").peek()
        with pytest.raises(BackendUnavailableError, match="schema=NAME"):
            await promises.promise("a").resolve(1)

    assert before == tables(postgresql, schema)


async def test_an_empty_schema_is_taken(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """Who may not make schemas is given one."""
    postgresql.execute(f"CREATE ROLE {schema} LOGIN")
    mine = url.replace(f"//{USER}@", f"//{schema}@")
    async with connect(mine) as promises:
        with pytest.raises(AccessDeniedError, match="GRANT CREATE ON DATABASE"):
            await promises.promise("a").resolve(1)
        postgresql.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {schema}")
        won = await promises.promise("a").resolve(1)

    assert Resolved(1) == won


async def test_a_role_with_rights_on_the_schema_can_use_it(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """Without them, the error says what to grant; that is enough."""
    postgresql.execute(f"CREATE ROLE {schema} LOGIN")
    mine = url.replace(f"//{USER}@", f"//{schema}@")
    async with connect(url) as promises:
        await promises.promise("a").resolve(1)
    async with connect(mine) as promises:
        with pytest.raises(AccessDeniedError, match="GRANT USAGE ON SCHEMA"):
            await promises.promise("a").peek()
        for rights in (
            "USAGE ON SCHEMA",
            "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA",
            "USAGE ON ALL SEQUENCES IN SCHEMA",
        ):
            postgresql.execute(f"GRANT {rights} {schema} TO {schema}")
        await promises.create("b", tags={"by": "a role"})
        await promises.promise("b").dispose()
        state = await promises.promise("a").peek()

    assert Resolved(1) == state


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM {}.durable_promises_format", "restore it from a backup"),
        (
            "UPDATE {}.durable_promises_format SET format = 99",
            "upgrade durable-promises",
        ),
    ],
    ids=["restored in part", "newer"],
)
async def test_a_format_that_is_not_ours_is_refused(
    postgresql: PostgresServer, url: str, schema: str, statement: str, told: str
) -> None:
    """Nothing is guessed, and nothing is made; the error says what to do."""
    async with connect(url) as promises:
        await promises.promise("a").resolve(1)
    postgresql.execute(SQL(statement).format(Identifier(schema)))

    async with connect(url) as promises:
        with pytest.raises(BackendUnavailableError, match=told):
            await promises.promise("a").peek()


async def test_an_older_format_is_brought_up_to_date_once(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """Whoever comes first does it, and the others wait for that."""
    async with connect(url) as promises:
        await promises.promise("a").resolve(1)
    made: list[Any] = []

    def open_it() -> None:
        server, queries = Server(parse_url(url)), Queries(schema)
        queries.sql.upgrades[queries.sql.format] = (f"CREATE TABLE {schema}.newer ()",)
        with server.connect() as connection:
            made.append(Schema(server, queries, connection).is_made())

    threads = [Thread(target=open_it) for _ in range(4)]
    with psycopg.connect(postgresql.url()) as connection:
        connection.execute(LOCK, key_of(schema))
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE objid = %s AND NOT granted"
        with anyio.fail_after(60):
            while postgresql.execute(waiting, key_of(schema)[1]) != [(4,)]:  # noqa: ASYNC110
                await anyio.sleep(0.01)
    for thread in threads:
        thread.join()

    assert [True] * 4 == made
    assert "newer" in tables(postgresql, schema)


def test_a_dump_is_restored_on_another_server(
    postgresql: PostgresServer, url: str, schema: str
) -> None:
    """All is there, and waits end, although transactions have smaller numbers there."""
    programs = find_programs()
    assert programs is not None
    anyio.run(fill, url)
    ahead = SQL("UPDATE {}.promises SET change = '123456789012'")
    postgresql.execute(ahead.format(Identifier(schema)))
    dump = [programs / "pg_dump", "--schema", schema, postgresql.url(user="postgres")]
    restore = ["psql", "--quiet", "--set=ON_ERROR_STOP=1"]

    with running() as other:
        subprocess.run(
            [*restore, other.url(user="postgres")],
            input=subprocess.check_output(dump),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        told = anyio.run(use, other.url(schema=schema))
        left = SQL("SELECT count(*) FROM {}.promises WHERE change > '123456'")
        ((still_ahead,),) = other.execute(left.format(Identifier(schema)))

    assert (Resolved(7), ["new"], "yes") == told
    assert 0 == still_ahead


async def fill(url: str) -> None:
    """Make promises."""
    async with connect(url) as promises:
        for number in range(20):
            await promises.promise(f"old {number}").resolve(number)
        await promises.create("new", tags={"kind": "restored"})


async def use(url: str) -> tuple[Any, list[str], Any]:
    """Look at them, and settle one that somebody waits for."""
    async with connect(url) as promises:
        old = await promises.promise("old 7").peek()
        found = [i.id async for i in promises.list(tags={"kind": "restored"})]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(promises.promise("new").resolve, "yes")
            value = await promises.promise("new").get()
    return old, found, value
