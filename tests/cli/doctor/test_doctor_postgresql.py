"""``dp doctor`` on a real PostgreSQL: settings, the store, rights, notifications."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import anyio
import psycopg
import pytest

import dp_core
from dp_backends.sql.postgresql import _checks
from support.core.program import Run
from support.postgresql.pooler import pooler
from support.postgresql.server import PASSWORD, USER, PostgresServer, running

Found = Callable[[str], dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresServer]:
    """Return a server for the tests of this module."""
    with running() as server:
        yield server


@pytest.fixture
def url(postgresql: PostgresServer) -> str:
    """Return the URL of a store that is not there."""
    return postgresql.url(schema=postgresql.new_schema())


@pytest.fixture
def found(here: Run, env: dict[str, str]) -> Found:
    """Return a function that tells the checks of a store by their names."""

    def found(url: str) -> dict[str, dict[str, Any]]:
        env["DP_URL"] = url
        done = here("doctor", "--json")
        assert b"" == done.stderr
        return {check["name"]: check for check in json.loads(done.stdout)}

    return found


def settle(url: str) -> None:
    """Make a store."""

    async def resolve() -> None:
        async with dp_core.connect(url) as promises:
            await promises.promise("one").resolve(1)

    anyio.run(resolve)


def test_a_server_and_its_store(
    found: Found, url: str, postgresql: PostgresServer
) -> None:
    """Its version, durability, clock and notifications; nothing is made there."""
    missing = found(url)
    again = found(url)
    settle(url)
    there = found(url)

    assert "there is no store in the schema" in missing["store"]["text"]
    assert missing["store"] == again["store"]
    assert {"ok"} == {c["status"] for n, c in missing.items() if n != "store"}
    assert {"ok"} == {check["status"] for check in there.values()}
    assert "fsync and full_page_writes are on" in there["durability"]["text"]
    assert "a NOTIFY comes through" in there["notifications"]["text"]


def test_rights_that_are_lacking_are_named(
    found: Found, url: str, postgresql: PostgresServer
) -> None:
    """On the schema, or on a table of it; and to make a store where there is none."""
    settle(url)
    name = url.rpartition("schema=")[2]
    postgresql.execute(f'ALTER SCHEMA "{name}" OWNER TO postgres')
    postgresql.execute(f'GRANT USAGE ON SCHEMA "{name}" TO {USER}')
    postgresql.execute(f'ALTER TABLE "{name}".promises OWNER TO postgres')
    postgresql.execute(f'GRANT SELECT ON "{name}".promises TO {USER}')
    lacking = found(url)["rights"]
    try:
        postgresql.execute(f"REVOKE CREATE ON DATABASE postgres FROM {USER}")
        nothing = found(postgresql.url(schema="other"))["rights"]
    finally:
        postgresql.execute(f"GRANT CREATE ON DATABASE postgres TO {USER}")

    assert ("problem", True) == (
        lacking["status"],
        lacking["text"].endswith("lacks rights on 'promises'"),
    )
    assert "GRANT USAGE ON SCHEMA" in lacking["advice"]
    assert ("problem", True) == (
        nothing["status"],
        "CREATE SCHEMA" in nothing["advice"],
    )


def test_a_schema_of_others_is_left_alone(
    found: Found, postgresql: PostgresServer
) -> None:
    """It is a problem that says how to name another one."""
    postgresql.execute("CREATE SCHEMA theirs CREATE TABLE theirs.t (x int)")
    postgresql.execute(f"GRANT USAGE ON SCHEMA theirs TO {USER}")
    check = found(postgresql.url(schema="theirs"))["store"]

    assert "problem" == check["status"]
    assert "?schema=NAME" in check["advice"] + check["text"]


def test_a_server_that_is_away_or_stands_still(
    found: Found,
    url: str,
    postgresql: PostgresServer,
    closed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said in words, in time, and without the password."""
    away = found(f"postgresql://{USER}:{quote(PASSWORD)}@{closed}/postgres")["server"]
    monkeypatch.setattr(_checks, "_CONNECT_SECONDS", "2")
    postgresql._process.send_signal(signal.SIGSTOP)
    try:
        still = found(url)["server"]
    finally:
        postgresql._process.send_signal(signal.SIGCONT)
    wrong = found(f"postgresql://{USER}:wrong@127.0.0.1:{postgresql.port}/postgres")[
        "server"
    ]

    assert "onnection refused" in away["text"]
    assert PASSWORD not in json.dumps(away)
    assert "timeout expired" in still["text"]
    assert "password authentication failed" in wrong["text"]
    assert {"problem"} == {check["status"] for check in (away, still, wrong)}


def test_a_pooler_keeps_notifications_back(
    found: Found, postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In transaction mode, which is a warning that says what to name instead."""
    monkeypatch.setattr(_checks, "_HEARING_SECONDS", 0.5)
    with pooler(postgresql) as url:
        check = found(url)["notifications"]

    assert "warning" == check["status"]
    assert "a pooler in transaction mode is in between" in check["text"]
    assert "pool_mode to session" in check["advice"]


@pytest.mark.parametrize(
    ("setting", "name", "status"),
    [("full_page_writes", "durability", "warning"), ("fsync", "server", "problem")],
)
def test_settings_that_may_lose_promises(
    found: Found,
    url: str,
    postgresql: PostgresServer,
    setting: str,
    name: str,
    status: str,
) -> None:
    """What a power cut would damage is a warning, what it would lose a problem."""
    postgresql.execute(f"ALTER SYSTEM SET {setting} = off")
    postgresql.execute("SELECT pg_reload_conf()")
    try:
        until_it_is(postgresql, setting, "off")
        check = found(url)[name]
    finally:
        postgresql.execute(f"ALTER SYSTEM RESET {setting}")
        postgresql.execute("SELECT pg_reload_conf()")
        until_it_is(postgresql, setting, "on")

    assert status == check["status"]
    assert setting in check["text"]
    assert check["advice"].startswith(("set it to on", "set fsync to on"))


def until_it_is(server: PostgresServer, setting: str, value: str) -> None:
    """Return when the server has taken a setting; new sessions have it then."""
    ends = time.monotonic() + 60
    while server.execute(f"SELECT current_setting('{setting}')") != [(value,)]:
        assert time.monotonic() < ends


def test_replicas_that_follow_asynchronously_are_a_warning(
    found: Found, url: str, postgresql: PostgresServer
) -> None:
    """Who may see their state is told; after a failover something may be missing."""
    postgresql.execute(f"GRANT pg_monitor TO {USER}")
    replica = psycopg.connect(
        host=str(postgresql.directory),
        port=postgresql.port,
        user="postgres",
        dbname="postgres",
        replication="database",
        autocommit=True,
    )
    try:
        replica.pgconn.exec_(b"CREATE_REPLICATION_SLOT doctor TEMPORARY PHYSICAL")
        began = replica.pgconn.exec_(
            b"START_REPLICATION SLOT doctor PHYSICAL 0/1000000"
        )
        assert psycopg.pq.ExecStatus.COPY_BOTH == began.status
        check = found(url)["replicas"]
    finally:
        replica.close()

    assert "warning" == check["status"]
    assert "1 replicas follow asynchronously" in check["text"]
    assert "synchronous_standby_names" in check["advice"]
