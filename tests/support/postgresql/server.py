"""`PostgresServer`: a real PostgreSQL of the tests' own, which can be killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from random import randrange
from socket import socket
from typing import Any, Final
from urllib.parse import quote, urlencode

import psutil
import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

__all__ = [
    "PASSWORD",
    "USER",
    "PostgresServer",
    "find_programs",
    "need_programs",
    "running",
]

USER: Final = "clerk"
"""An ordinary role, for which no password is asked at the socket."""
PASSWORD: Final = "not a secret: 50%"  # noqa: S105
TIMEOUT: Final = 60

# Files of a cluster need no fsync before it has run; its transactions do. What it
# shares between processes is in files, as a killed one would leave it in memory.
INITDB: Final = (
    *("--no-sync", "--no-instructions", "--auth=trust", "--username=postgres"),
    *("--encoding=UTF8", "--locale=C", "--wal-segsize=1"),
)
SETTINGS: Final = {
    "autovacuum": "off",
    "bgwriter_lru_maxpages": "0",
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    "log_checkpoints": "off",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "recovery_init_sync_method": "syncfs",
    "shared_buffers": "16MB",
}
HBA: Final = """
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


def find_programs() -> Path | None:
    """Return the directory of PostgreSQL's programs; Debian has it outside of PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((file.parent for file in debian), key=_version, default=None)


class PostgresServer:
    """A server that can be killed and started again on its data."""

    def __init__(self, **settings: str) -> None:
        programs = find_programs()
        assert programs is not None
        self._programs = programs
        self.directory = Path(tempfile.mkdtemp(prefix="dp-postgresql-"))
        self.port = _free_port()
        self._settings = {**SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        # It refuses to run as root.
        self._user = _unprivileged() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def create(self, log: Path | None = None) -> None:
        """
        Make its files and start it, with the ordinary role `USER`.

        Args:
            log: An empty directory in which it keeps its write-ahead log.
        """
        command = [self._programs / "initdb", "--pgdata", self.data, *INITDB]
        if log is not None:
            command += ["--waldir", log]
        subprocess.run(
            [*self._as_user(), *command], check=True, stdout=subprocess.DEVNULL
        )
        (self.data / "pg_hba.conf").write_text(HBA)
        self.start()
        role, password = Identifier(USER), Literal(PASSWORD)
        self.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
        self.execute(SQL("GRANT CREATE ON DATABASE postgres TO {}").format(role))

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = {
            **self._settings,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        command = [
            *(*self._as_user(), "setpriv", "--pdeathsig=QUIT"),
            *(str(self._programs / "postgres"), "-D", str(self.data)),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        ends = time.monotonic() + TIMEOUT
        while not self._is_ready():
            code = self._process.poll()
            assert code is None, f"code {code}: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < ends, self.log.read_text()[-3000:]
            time.sleep(0.01)

    def stop(self, by: int = signal.SIGINT) -> None:
        """Stop it; by default its clients are told, and all is written to its files."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(TIMEOUT)
            self._process = None

    def wait(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        assert self._process is not None
        return self._process.wait(TIMEOUT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill all of its processes with SIGKILL, as when the machine stops."""
        # It would start again what is killed before it.
        server = psutil.Process(self.pid)
        server.suspend()
        children = server.children(recursive=True)
        for process in (*children, server):
            process.kill()
        self._remove_shared_memory()
        self.stop(signal.SIGKILL)
        psutil.wait_procs(children, TIMEOUT)

    def kill_backend(self, pid: int) -> None:
        """
        Kill the process of one connection with SIGKILL.

        The server then ends all connections; wait until it has recovered.
        """
        process = psutil.Process(pid)
        process.kill()
        process.wait(TIMEOUT)
        ends = time.monotonic() + TIMEOUT
        while True:
            with suppress(psycopg.OperationalError):
                self.execute("SELECT 1")
                return
            assert time.monotonic() < ends, self.log.read_text()[-3000:]
            time.sleep(0.01)

    def close(self) -> None:
        """Stop it, whatever it does, and remove its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory)

    def url(
        self,
        *,
        user: str = USER,
        password: str | None = None,
        database: str = "postgres",
        tcp: bool = False,
        **parameters: str,
    ) -> str:
        """
        Return a URL of it: at its socket, or at its port where it asks for a password.

        Args:
            user: The role; ``postgres`` may do everything.
            password: A password, in place of that of `USER`.
            database: The database.
            tcp: Whether to connect to the port.
            parameters: What is behind the question mark.
        """
        if password is None and tcp:
            password = PASSWORD
        login = quote(user) if password is None else f"{quote(user)}:{quote(password)}"
        host = "127.0.0.1" if tcp else quote(str(self.directory), safe="")
        query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        return f"postgresql://{login}@{host}:{self.port}/{quote(database)}{query}"

    def new_schema(self) -> str:
        """Return the name of a schema that is not there: a place for one test."""
        return f"test_{next(self._numbers)}"

    def new_database(self) -> str:
        """Make an empty database of `USER`; return its name. A schema is cheaper."""
        name = f"test_{next(self._numbers)}"
        words = SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0")
        self.execute(words.format(Identifier(name), Identifier(USER)))
        return name

    def execute(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        """Execute a statement as one who may do everything; return its rows."""
        url = self.url(user="postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def _is_ready(self) -> bool:
        """Return whether it says so in the file that `pg_ctl` reads too."""
        with suppress(FileNotFoundError):
            return self._status()[7:8] in (["ready"], ["standby"])
        return False

    def _status(self) -> list[str]:
        lines = (self.data / "postmaster.pid").read_text().splitlines()
        return [line.strip() for line in lines]

    def _remove_shared_memory(self) -> None:
        """Remove the segment by which two servers on the same files see each other."""
        *_, segment = self._status()[6].split()
        subprocess.run(["ipcrm", "--shmem-id", segment], check=True)

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        ids = f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}"
        return ["setpriv", *ids, "--clear-groups"]


def need_programs() -> None:
    """Skip the test where there is no PostgreSQL; in continuous integration, fail."""
    if find_programs() is None:
        reason = "no PostgreSQL; sh .ci/programs installs it"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def running(**settings: str) -> Iterator[PostgresServer]:
    """Run a server until the block ends, where there are programs of it."""
    need_programs()
    server = PostgresServer(**settings)
    try:
        server.create()
        yield server
    finally:
        server.close()


def _version(programs: Path) -> float:
    return float(programs.parent.name)


def _unprivileged() -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _free_port() -> int:
    """Return a free port, outside of those that the system gives to connections."""
    while True:
        with suppress(OSError), socket() as probe:
            probe.bind(("127.0.0.1", port := randrange(10_000, 32_000)))
            return port
