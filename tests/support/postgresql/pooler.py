"""`pooler`: a PgBouncer in transaction mode, before a PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from support.postgresql.server import PASSWORD, TIMEOUT, USER, PostgresServer

__all__ = ["pooler"]

PORT: Final = 6432
SETTINGS: Final = """
[databases]
* = host={directory} port={port}
[pgbouncer]
listen_addr =
unix_socket_dir = {directory}
listen_port = {own}
auth_type = trust
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = 2
"""


@contextmanager
def pooler(server: PostgresServer) -> Iterator[str]:
    """
    Run a pooler until the block ends; yield the URL of the server behind it.

    Skip the test where there is none; in continuous integration, fail.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        reason = "no PgBouncer; sh .ci/programs installs it"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    directory = server.directory
    (directory / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
    file = directory / "pgbouncer.ini"
    file.write_text(SETTINGS.format(directory=directory, port=server.port, own=PORT))
    command = [*server._as_user(), "setpriv", "--pdeathsig=KILL", program, "-q", file]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + TIMEOUT
        while not (directory / f".s.PGSQL.{PORT}").exists():
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.01)
        yield server.url().replace(str(server.port), str(PORT))
    finally:
        process.kill()
        process.wait(TIMEOUT)
