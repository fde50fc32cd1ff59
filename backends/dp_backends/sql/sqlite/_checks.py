"""
`check_database`: the file of a store, looked at without changing anything.

While nobody has written since the last checkpoint, the database is read as one that
nobody changes (``immutable``): else SQLite would make a log and its index beside it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final
from urllib.parse import quote

import apsw

from dp_backends._system import check_directory, check_disk, check_reports, explained
from dp_backends.sql._rows import PromiseRow
from dp_backends.sql._schema import TAG_COLUMNS, listed
from dp_backends.sql.sqlite._database import (
    APPLICATION_ID,
    check_file,
    check_sqlite,
)
from dp_backends.sql.sqlite._dialect import SQL
from dp_core import BackendError
from dp_core.backend import Check

__all__ = ["check_database"]

_BUSY_MILLISECONDS: Final = 2000
_LOOKING_SECONDS: Final = 5.0
"""The longest time to look through a database."""

_LARGE_LOG: Final = 256 * 1024 * 1024
_OTHERS_MAY_WRITE: Final = 0o022

_RESTORE: Final = "restore it from a backup, and look at the disk (docs: backups)"


def check_database(path: str) -> Iterator[Check]:
    """
    Yield what is found about the store in a file.

    Args:
        path: The file, absolute.
    """
    try:
        check_sqlite()
    except BackendError as error:
        yield Check.failed("driver", error, "upgrade apsw")
        return
    version = apsw.sqlite_lib_version()
    yield Check("driver", "ok", f"apsw {apsw.apsw_version()}, SQLite {version}")
    try:
        with explained(f"look at {path}"):
            yield from _check(path)
    except BackendError as error:
        yield Check.failed("store", error, "look at owner and mode of what it names")


def _check(path: str) -> Iterator[Check]:
    directory = os.path.dirname(path)
    failures = list(check_directory(directory, makes_it=False))
    yield from failures
    if failures:
        return
    if os.path.lexists(path):
        try:
            check_file(path)
        except BackendError as error:
            yield Check.failed("store", error, "name another file")
            return
        yield from _rights(path)
        if os.access(path, os.R_OK, effective_ids=True):
            yield from _content(path)
        yield from _log(path)
    else:
        yield Check(
            "store",
            "warning",
            f"there is no store at {path} yet",
            "look whether the URL is right; the first settle makes the store",
        )
    yield from check_disk(directory, needs_links=False)
    yield check_reports(directory)


def _rights(path: str) -> Iterator[Check]:
    status = os.stat(path)
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        yield Check(
            "rights",
            "problem",
            f"user {os.geteuid()} may not read and write {path}, which belongs to user "
            f"{status.st_uid}, with mode {stat.S_IMODE(status.st_mode):04o}",
            "run as its owner, or share the store by `dp serve`",
        )
    elif status.st_mode & _OTHERS_MAY_WRITE:
        yield Check(
            "rights",
            "warning",
            f"others may write {path} (mode {stat.S_IMODE(status.st_mode):04o})",
            f"chmod 600 {path}",
        )


def _content(path: str) -> Iterator[Check]:
    try:
        with closing(_opened(path)) as database:
            yield from _store(database, path)
    except apsw.BusyError:
        yield Check(
            "store",
            "warning",
            f"another process locks {path}",
            "look which one (fuser, lsof), and whether it holds a transaction open",
        )
    except (apsw.NotADBError, apsw.CorruptError) as error:
        yield Check(
            "store", "problem", f"{path} is damaged, or else ({error})", _RESTORE
        )
    except apsw.Error as error:
        yield Check("store", "problem", f"{path} cannot be read ({error})", _RESTORE)


def _opened(path: str) -> apsw.Connection:
    has_log = os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 0
    name = f"file:{quote(path)}?mode=ro" + ("" if has_log else "&immutable=1")
    database = apsw.Connection(
        name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    database.set_busy_timeout(_BUSY_MILLISECONDS)
    return database


def _store(database: apsw.Connection, path: str) -> Iterator[Check]:
    ((tables,),) = database.execute("SELECT count(*) FROM sqlite_schema")
    owner, form = database.pragma("application_id"), database.pragma("user_version")
    newest = SQL.format
    if owner != APPLICATION_ID:
        if tables or owner:
            yield Check(
                "store",
                "problem",
                f"{path} is the database of another program",
                "name another file",
            )
        else:
            yield Check(
                "store",
                "warning",
                f"{path} is empty",
                "look whether the URL is right; the first settle makes it a store",
            )
        return
    if not 0 <= form <= newest:
        yield Check(
            "store",
            "problem",
            f"{path} has format {form}, and this version reads 1 to {newest}",
            "upgrade durable-promises, or name another file",
        )
        return
    if form == newest:
        try:
            for columns, table in (
                (PromiseRow._fields, SQL.promises),
                (TAG_COLUMNS, SQL.tags),
            ):
                database.execute(f"SELECT {listed(columns)} FROM {table} LIMIT 0")
        except apsw.SQLError as error:
            yield Check(
                "store",
                "problem",
                f"the tables of {path} are not those of a store of promises ({error})",
                _RESTORE,
            )
            return
    older = f"; the next use makes it format {newest}" if form < newest else ""
    yield Check("store", "ok", f"{path} is a store of format {form}{older}")
    yield _whole(database, path)


def _whole(database: apsw.Connection, path: str) -> Check:
    """Look through the database, as long as there is time."""
    ends = time.monotonic() + _LOOKING_SECONDS
    database.set_progress_handler(lambda: time.monotonic() > ends, 10_000)
    try:
        ((found,),) = database.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.InterruptError:
        return Check(
            "content",
            "ok",
            f"nothing is wrong in what was looked through in {_LOOKING_SECONDS:g} s; "
            f"for the rest: sqlite3 {path} 'PRAGMA quick_check'",
        )
    if found != "ok":
        return Check("content", "problem", f"{path} is damaged: {found}", _RESTORE)
    return Check("content", "ok", "nothing is wrong in the database (quick_check)")


def _log(path: str) -> Iterator[Check]:
    try:
        size = os.path.getsize(f"{path}-wal")
    except FileNotFoundError:
        return
    if size > _LARGE_LOG:
        yield Check(
            "log",
            "warning",
            f"the log of {path} has {size / 1024**2:,.0f} MiB: it cannot be moved into "
            "the database",
            "look for a process that holds a transaction open (fuser, lsof), or stands "
            "still",
        )
