"""Stores of every format in PostgreSQL: read, brought up to date, and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import dp_core as dp
from dp_backends.sql._sessions import Statements
from support.core.release.stores import STORES, create_at_once, go_on, told, told_by
from support.core.stores import infos, settle, states
from support.postgresql.server import USER, PostgresServer, running

NAMES = sorted(path.name for path in STORES.glob("postgresql-*"))
OLDER = [name for name in NAMES if "-1" in name]
OURS = "durable_promises"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresServer]:
    """Return a server, on which each test has a database of its own."""
    with running() as server:
        yield server


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each store in turn."""
    return str(request.param)


@pytest.fixture
def url(postgresql: PostgresServer, name: str) -> str:
    """Return the URL of a copy of it."""
    url = postgresql.url(database=postgresql.new_database())
    restore(url, name)
    return url


def restore(url: str, name: str) -> None:
    """Restore a store from its dump."""
    with psycopg.connect(url) as connection:
        connection.execute((STORES / name / "dump.sql").read_bytes())


def run(url: str, statement: str) -> list[Any]:
    """Run a statement beside a store; return its rows."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


async def test_all_is_told_as_it_was_told_then(name: str, url: str) -> None:
    """Each promise, by each way to read, is what the version said that wrote it."""
    expected = told_by(name)

    assert expected == await told(url, expected)


async def test_promises_go_on(url: str) -> None:
    """What had won stays, and what is done now is as in a new store."""
    await go_on(url, has_terms=True)


@pytest.mark.parametrize("name", OLDER, indirect=True)
def test_two_processes_bring_it_up_to_date_at_once(
    postgresql: PostgresServer, name: str, url: str
) -> None:
    """It becomes one store of the newest format, with what both have created."""
    create_at_once(url, "one", "two")

    kept = [each["id"] for each in told_by(name) if each["id"] != "disposed"]
    assert {*kept, "one", "two"} == {info.id for info in infos(url)}
    [(form,)] = run(url, "SELECT format FROM durable_promises.durable_promises_format")
    assert 2 == form
    new = postgresql.url(database=postgresql.new_database())
    restore(new, "postgresql-2")
    assert run(new, INDEXES) == run(url, INDEXES)


INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname LIKE 'durable%' ORDER BY 1"


@pytest.mark.parametrize("name", ["postgresql-1"], indirect=True)
def test_a_role_that_may_not_bring_it_up_to_date_says_who_may(
    postgresql: PostgresServer, url: str
) -> None:
    """The owner of the tables has to open the store once; then others can."""
    role = postgresql.new_schema()
    postgresql.execute(f"CREATE ROLE {role} LOGIN")
    run(url, f"GRANT USAGE ON SCHEMA {OURS} TO {role}")
    run(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA {OURS} TO {role}")
    theirs = url.replace(f"//{USER}@", f"//{role}@")

    with pytest.raises(dp.AccessDeniedError, match="let its owner open it once"):
        states(theirs, ["resolved"])

    assert states(url, ["null"]) == states(theirs, ["null"])


@pytest.mark.parametrize("name", ["postgresql-2"], indirect=True)
def test_an_older_version_refuses_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that reads format 1 only says what to do, and does nothing."""
    monkeypatch.setattr(Statements, "format", 1)

    with pytest.raises(dp.BackendUnavailableError, match=REFUSED):
        states(url, ["created"])

    with pytest.raises(dp.BackendUnavailableError, match=REFUSED):
        settle(url, {"created": 1})


REFUSED = r"format 2, and this version reads 1 to 1; upgrade durable-promises"
