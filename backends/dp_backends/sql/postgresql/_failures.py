"""`explained`: what the errors of PostgreSQL, and of psycopg, mean for calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from dp_backends.sql._sessions import Failure
from dp_core import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
)
from dp_core.backend import visible

__all__ = ["POOLED", "explained", "not_connected", "not_possible", "state_of"]

# By the code, which no language of the server changes, or the first letters of it
# (PostgreSQL's documentation, appendix A).
_PASSING: Final = (
    *("08", "40", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300"),
    # A lock, or a statement, that took too long.
    *("55P03", "57014"),
    # Tables, or plans for them, that were there are not, or not as they were.
    *("3F000", "42P01", "42P06", "42P07", "0A000", "26000", "42P05"),
)
_ONE_CALL: Final = ("22", "23", "54")
"""Of a value that does not fit, or a statement that is too big."""

POOLED: Final = ("26000", "42P05")
"""A prepared statement is gone, or another's: a pooler has changed the connection."""

_MEANINGS: Final[dict[str, tuple[type[BackendError], str]]] = {
    "25006": (
        BackendUnavailableError,
        (
            "the server takes no changes: it is a standby, or set to read only; name "
            "the primary, or all hosts with target_session_attrs=read-write"
        ),
    ),
    "42501": (
        AccessDeniedError,
        (
            "this role lacks rights; let the owner of the store GRANT USAGE ON SCHEMA, "
            "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA and USAGE ON ALL "
            "SEQUENCES IN SCHEMA to it"
        ),
    ),
    "53100": (BackendUnavailableError, "the server's disk is full; free some space"),
    "53200": (BackendUnavailableError, "the server is out of memory"),
    "XX001": (CorruptPromiseError, "the database is damaged; restore a backup"),
    "XX002": (CorruptPromiseError, "an index is damaged; REINDEX it"),
    "57014": (
        BackendUnavailableError,
        "the server cancelled it; is statement_timeout very short for this role?",
    ),
    "55P03": (
        BackendUnavailableError,
        "another session locks the store; does one hold a transaction open?",
    ),
}

# While connecting there is no code, only a text, in the server's language.
_REFUSED: Final = re.compile(
    "password|authentication|pg_hba|permission denied|not permitted|peer|ident",
    re.IGNORECASE,
)
_WRONG: Final = re.compile(
    "does not exist|certificate|SSL|invalid|definition of service|"
    "unsupported|too long|not currently accepting|GSS",
    re.IGNORECASE,
)
_AWAY: Final = re.compile(
    "refused|Is the server running|starting up|shutting down|recovery|"
    "not yet accepting|connection slots|too many|timeout|timed out|unreachable|"
    "No route|could not translate|closed the connection|reset by peer|"
    "could not receive",
    re.IGNORECASE,
)


_LOST: Final = (psycopg.OperationalError, psycopg.InterfaceError)


@contextmanager
def explained(location: str, doing: str) -> Iterator[None]:
    """
    Turn the errors of psycopg into a `Failure`.

    Args:
        location: The store.
        doing: The attempted action; "commit" is one whose result may be unknown.
    """
    try:
        yield
    except psycopg.Error as error:
        raise _failure(location, doing, error) from error
    except OSError as error:
        raise not_possible(location, error) from error


def _failure(location: str, doing: str, error: psycopg.Error) -> Failure:
    state = error.sqlstate or ""
    kind, meaning = _MEANINGS.get(state, (BackendUnavailableError, _text_of(error)))
    code = f" ({state})" if state else ""
    # Without a code it was not the server that said so: the connection is lost.
    lost = not state and isinstance(error, _LOST)
    ended = lost or state.startswith(("08", "57P0", "25P03", "25P04"))
    return Failure(
        kind(f"cannot {doing} at {location}: {meaning}{code}"),
        is_unknown=doing == "commit" and ended,
        is_passing=lost or state.startswith(_PASSING),
        # A server that is a standby now may be another one after the next connect.
        breaks=state.startswith(("25006", "XX", "53200")),
        may_be_of_one=not lost and (not state or state.startswith(_ONE_CALL)),
    )


def not_possible(location: str, error: OSError) -> Failure:
    """Return what it means that the system lacks something, such as descriptors."""
    reason = f"cannot talk to {location}: {error.strerror or error}"
    return Failure(BackendUnavailableError(reason), is_passing=True)


def state_of(failure: Failure) -> str:
    """Return the code of the server's error, if that was one."""
    error = failure.__cause__
    return (error.sqlstate or "") if isinstance(error, psycopg.Error) else ""


def not_connected(location: str, error: psycopg.Error) -> Failure:
    """Return what it means that no connection could be made."""
    text = _text_of(error)
    pgconn = getattr(error, "pgconn", None)
    reason = f"cannot connect to {location}: {text}"
    if _AWAY.search(text):
        return Failure(BackendUnavailableError(reason), is_passing=True)
    if pgconn is not None and pgconn.needs_password:
        reason += (
            "; give a password by PGPASSWORD or ~/.pgpass, or write it into the URL"
        )
        return Failure(AccessDeniedError(reason), breaks=True)
    if _REFUSED.search(text):
        return Failure(AccessDeniedError(reason), breaks=True)
    if _WRONG.search(text):
        return Failure(BackendUnavailableError(reason), breaks=True)
    return Failure(BackendUnavailableError(reason), is_passing=True)


def _text_of(error: psycopg.Error) -> str:
    """Return what an error says, in one line."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return visible(" ".join(text.split()))
