"""The tests' own server: tests of kills and of passwords mean something there."""

from __future__ import annotations

import subprocess

import psutil
import psycopg
import pytest

from support.postgresql.server import PostgresServer, running


def test_a_kill_loses_nothing_and_leaves_nothing_behind() -> None:
    """All processes are killed; the data stays until the server is closed."""
    with running() as server:
        server.execute("CREATE TABLE kept AS SELECT 1 AS one")
        killed = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        server.kill()
        left = [process.pid for process in killed if process.is_running()]
        server.start()
        rows = server.execute("SELECT one FROM kept")
        file = server.data / "postmaster.pid"
        _, segment = file.read_text().splitlines()[6].split()
        server.kill()

    assert [] == left
    assert [(1,)] == rows
    assert not server.directory.exists()
    shared = subprocess.check_output(["ipcs", "--shmems"], text=True)
    assert segment not in shared.split()


def test_one_connection_is_killed(postgresql: PostgresServer) -> None:
    """The server ends it and goes on."""
    with psycopg.connect(postgresql.url()) as connection:
        postgresql.kill_backend(connection.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(60)")

    assert [(1,)] == postgresql.execute("SELECT 1")


def test_the_port_asks_for_a_password(postgresql: PostgresServer) -> None:
    """One that is wrong is refused, and the ordinary role has no rights of others."""
    right = postgresql.url(tcp=True)
    with psycopg.connect(right) as connection:
        query = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        rows = connection.execute(query).fetchall()

    assert [(False,)] == rows
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgresql.url(tcp=True, password="wrong"))  # noqa: S106


def test_a_database_is_of_the_ordinary_role(postgresql: PostgresServer) -> None:
    """A test has a database of its own where a schema is not enough."""
    name = postgresql.new_database()

    with psycopg.connect(postgresql.url(database=name)) as connection:
        connection.execute("CREATE SCHEMA own")
