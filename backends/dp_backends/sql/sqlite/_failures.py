"""`fail`: what SQLite's errors mean for the calls of a batch."""

from __future__ import annotations

import errno
import os
from typing import Final, NoReturn

import apsw

from dp_backends._system import explained
from dp_backends.sql._sessions import Failure
from dp_core import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
)

__all__ = ["ERRORS", "fail"]

_MEANINGS: Final[dict[type[apsw.Error], tuple[type[BackendError], str]]] = {
    apsw.BusyError: (
        BackendUnavailableError,
        (
            "another process has locked the database for too long; is one stopped, or "
            "does one hold a transaction open?"
        ),
    ),
    apsw.CantOpenError: (
        BackendUnavailableError,
        (
            "it cannot be opened; are its directory and its -wal and -shm files there, "
            "and writable?"
        ),
    ),
    apsw.CorruptError: (
        CorruptPromiseError,
        (
            "the database is damaged; restore a backup, or see what "
            "`sqlite3 FILE .recover` can save"
        ),
    ),
    apsw.FullError: (BackendUnavailableError, "the disk is full; free some space"),
    apsw.IOError: (BackendUnavailableError, "the disk fails, or is away"),
    apsw.NotADBError: (
        BackendUnavailableError,
        "the file is not an SQLite database; name another one",
    ),
    apsw.PermissionsError: (AccessDeniedError, "permission denied"),
    apsw.ReadOnlyError: (
        AccessDeniedError,
        "the database, or its directory, is read-only for you; check owner and mode",
    ),
    apsw.SQLError: (
        CorruptPromiseError,
        "its tables are not those of a store of promises; restore a backup",
    ),
    apsw.TooBigError: (
        BackendUnavailableError,
        "a value is over SQLite's limit of 1,000,000,000 bytes",
    ),
}

_OF_ONE_CALL: Final = (apsw.TooBigError, apsw.ConstraintError, apsw.MismatchError)
_BREAKING: Final = (
    apsw.CorruptError,
    apsw.IOError,
    apsw.NotADBError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.FullError,
)


ERRORS: Final = (apsw.Error, OSError, OverflowError, BackendError)
"""The errors that `fail` explains; to catch them costs nothing where there are none."""


def fail(error: Exception, path: str, doing: str) -> NoReturn:
    """
    Raise what an error of SQLite or of the system means.

    Args:
        error: One of `ERRORS`.
        path: The database.
        doing: The attempted action; "commit" is one whose result may be unknown.

    Raises:
        Failure: Always.
    """
    is_commit = doing == "commit"
    doing = f"{doing} the database {path}"
    try:
        with explained(doing):
            if isinstance(error, apsw.CantOpenError):
                _check_opening(path)
            raise error
    except apsw.Error:
        raise _of_sqlite(error, doing, is_commit=is_commit) from error
    except OverflowError:
        reason = f"cannot {doing}: a number in it is damaged; restore a backup"
        raise Failure(CorruptPromiseError(reason), may_be_of_one=True) from error
    except BackendError as told:
        # What fails at the end of a commit comes after SQLite has done it.
        raise Failure(told, is_unknown=is_commit, breaks=True) from told.__cause__


def _of_sqlite(error: Exception, doing: str, *, is_commit: bool) -> Failure:
    kind, meaning = next(
        (_MEANINGS[cause] for cause in type(error).__mro__ if cause in _MEANINGS),
        (BackendUnavailableError, str(error)),
    )
    code = apsw.mapping_extended_result_codes.get(_code(error), str(error))
    if _code(error) == apsw.SQLITE_IOERR_SHORT_READ:
        meaning = (
            "one of its files is too short; was its -wal or -shm removed while others "
            "use it? It is whole again when all of them have closed it"
        )
    return Failure(
        kind(f"cannot {doing}: {meaning} ({code})"),
        # Of a full disk SQLite undoes all; whether an fsync that failed has made
        # anything durable nobody knows.
        is_unknown=is_commit and isinstance(error, apsw.IOError),
        breaks=isinstance(error, _BREAKING),
        may_be_of_one=isinstance(error, _OF_ONE_CALL),
    )


def _check_opening(path: str) -> None:
    """
    Raise what the system has said, of which SQLite says only that it failed.

    Without a descriptor of the database, as closing it would take SQLite's locks along.
    """
    os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    if not os.access(path, os.R_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        # A log and its index have to be there even for who only reads.
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def _code(error: Exception) -> int:
    return int(getattr(error, "extendedresult", 0))
