"""`open_database`: the file of a store, found, checked, made, or brought up to date."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, flock
from threading import Lock
from typing import Final

import apsw

from dp_backends._system import fsync_directory, is_remote
from dp_backends.sql.sqlite._bell import open_bell
from dp_backends.sql.sqlite._dialect import SQL
from dp_core import BackendUnavailableError

__all__ = ["APPLICATION_ID", "check_file", "check_sqlite", "open_database"]

APPLICATION_ID: Final = int.from_bytes(b"dpms")
"""The number by which a database says that it is a store of promises."""

_FIXED: Final = (3, 51, 3), (3, 53, 0)
"""SQLite's log could damage a database before these (sqlite.org/wal.html, §11)."""

# Several threads of one process: who made the file closes it, and would take the locks
# of who has opened it meanwhile along.
_OPENING: Final = Lock()

_CHECKPOINT_PAGES: Final = 4000


def open_database(
    path: str, wait: Callable[[int], bool], *, make: bool
) -> apsw.Connection | None:
    """
    Return a connection with the store at a path; None if there is none.

    Args:
        path: The file, absolute.
        wait: SQLite's busy handler.
        make: Whether to make the store.

    Raises:
        BackendUnavailableError: It is something else, or of a newer format.
        apsw.Error: SQLite cannot open it.
        OSError: The system cannot.
    """
    check_sqlite()
    with _OPENING:
        if not os.path.lexists(path):
            _check_directory(path)
            if not make:
                return None
            _make_file(path)
        check_file(path)
        database = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            database.set_busy_handler(wait)
            if not _is_ours(database, path) and not make:
                database.close()
                return None
            _prepare(database, path)
        except BaseException:
            with suppress(apsw.Error):
                database.close()
            raise
        return database


def check_sqlite() -> None:
    """
    Make sure that SQLite is of a version that does not damage databases.

    Raises:
        BackendUnavailableError: It is not.
    """
    version = apsw.sqlite_lib_version()
    number = tuple(map(int, version.split(".")))
    first, then = _FIXED
    if number < first or first[:2] < number[:2] < then[:2]:
        raise BackendUnavailableError(
            f"SQLite {version} can damage a database that several processes write; "
            "upgrade apsw, which brings a newer one"
        )


def _check_directory(path: str) -> None:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise BackendUnavailableError(
            f"there is no directory {directory} for the database; make it, or write "
            "another path"
        )


def check_file(path: str) -> None:
    """
    Make sure that something is a file in which a database can be.

    Raises:
        BackendUnavailableError: It is not.
        OSError: It cannot be looked at.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise BackendUnavailableError(
            f"{path} is a directory; name a file in it, as "
            f"{os.path.join(path, 'promises.db')}"  # Of / as well.
        )
    if not stat.S_ISREG(status.st_mode):
        raise BackendUnavailableError(f"{path} is not a regular file; name another one")
    if is_remote(status):
        raise BackendUnavailableError(
            f"{path} is on a network file system, where SQLite's locks do not hold; "
            "use a local disk, or postgresql:, or `dp serve` and http:"
        )


def _make_file(path: str) -> None:
    """Make an empty database, unless somebody else is faster."""
    lock = open_bell(path)
    try:
        # So that what is removed here is not of one who was faster.
        flock(lock, LOCK_EX)
        if not os.path.lexists(path):
            # Of a database that was removed while somebody had it open: SQLite would
            # take its index for the new one's, and look for rows that are in no log.
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(path + suffix)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        os.close(lock)


def _is_ours(database: apsw.Connection, path: str) -> bool:
    """Tell whether it is a store of promises; False for an empty database."""
    # In this order: somebody may make the store between the two.
    ((tables,),) = database.execute("SELECT count(*) FROM sqlite_schema")
    owner = database.pragma("application_id")
    if owner != APPLICATION_ID:
        if tables or owner:
            raise BackendUnavailableError(
                f"{path} is the database of another program; name another file"
            )
        return False
    form = database.pragma("user_version")
    if not 0 <= form <= SQL.format:
        raise BackendUnavailableError(
            f"the store {path} has format {form}, and this version reads 1 to "
            f"{SQL.format}; upgrade durable-promises, or name another file"
        )
    return True


def _prepare(database: apsw.Connection, path: str) -> None:
    mode = database.pragma("journal_mode", "wal")
    if mode != "wal":
        raise BackendUnavailableError(
            f"SQLite cannot keep a write-ahead log beside {path}; use a local disk"
        )
    database.pragma("synchronous", "full")
    # On macOS an fsync leaves data in the cache of the disk.
    database.pragma("fullfsync", 1)
    database.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
    if database.pragma("user_version") < SQL.format:
        _migrate(database, path)


def _migrate(database: apsw.Connection, path: str) -> None:
    """Make the tables, or those of the newest format out of those of an older one."""
    database.execute("BEGIN IMMEDIATE")
    with database:
        # Somebody else may have been faster.
        form = database.pragma("user_version")
        if form < SQL.format:
            for statement in SQL.upgrades[form]:
                database.execute(statement)
            database.pragma("application_id", APPLICATION_ID)
            database.pragma("user_version", SQL.format)
    database.execute("COMMIT")
    fsync_directory(os.path.dirname(path))
