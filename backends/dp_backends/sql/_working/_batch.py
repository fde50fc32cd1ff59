"""
`run_batch`: calls that came together, answered by as few statements as possible.

Theory of operation
===================

All rows are read by one statement. Calls that these answer are told at once. For the
others one transaction is begun, in which all their changes are written by one
statement, and again, where calls of one promise follow each other, or somebody else
was faster; then it is committed, and they are told. So a batch of settles of any size
is two statements and one commit.

A row is changed only if it is still what was read, by its version. Therefore rows may
be read before the transaction, and who loses a race finds out, reads again, and is
told what won. If there was nobody else, something in the database skips our statement,
such as a trigger, and would do so for ever: then the calls that need it fail.

Nothing is told before it is durable: what was read by `Session.make_durable`, what was
written by `Session.commit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from dp_backends._working import Rounds
from dp_backends.sql._rows import Change, PromiseRow
from dp_backends.sql._sessions import Failure, Session
from dp_backends.sql._working._calls import RowCall
from dp_core import BackendError
from dp_core.backend import quoted

__all__ = ["run_batch"]

Calls: TypeAlias = Sequence[RowCall[Any]]


def run_batch(session: Session, calls: Calls, tell: Callable[[Calls], object]) -> None:
    """
    Answer calls.

    Args:
        session: The session.
        calls: The calls.
        tell: Is called with those that are done, once what they say is durable.

    Raises:
        Failure: Something failed; calls that are not done were not told. Nothing was
            changed, unless it is unknown.
    """
    now, rows = session.read({id for call in calls for id in call.ids})
    left, changes = _step(calls, rows, now)
    try:
        session.make_durable(rows.values())
    except Failure:
        _undo(calls)
        raise
    tell([call for call in calls if call.is_done])
    if left:
        _write(session, left, changes, rows, now)
        # First: who is told runs at once, and both would wait for the interpreter.
        session.ring()
        tell(left)


def _write(
    session: Session,
    calls: Calls,
    changes: dict[bytes, Change],
    rows: dict[bytes, PromiseRow],
    now: datetime,
) -> None:
    """Make changes, and those that follow from them, in one transaction."""
    left, rounds = calls, Rounds()
    try:
        session.begin()
        while left:
            written = session.write([changes[id] for id in sorted(changes)])
            rows.update(written)
            if lost := changes.keys() - written.keys():
                now, again = session.read(lost)
                _check_progress(rounds, again)
                rows.update(again)
            left, changes = _step(left, rows, now)
        session.commit()
        session.make_durable(rows.values())
    except BaseException:
        # Whatever it is: a transaction that is left open holds everybody up.
        _undo(calls)
        session.rollback()
        raise


def _check_progress(rounds: Rounds, lost: dict[bytes, PromiseRow]) -> None:
    """
    Make sure that somebody has changed the rows that were not written.

    Raises:
        Failure: Nobody has, again and again.
    """
    if rounds.are_futile({id: row.version for id, row in lost.items()}):
        error = BackendError(
            f"the database skips each change of promise {quoted(min(lost).decode())}, "
            "and nobody else has changed it: look for a trigger on the table promises "
            "that is not of this library, as with RAISE(IGNORE) or RETURN NULL"
        )
        raise Failure(error, may_be_of_one=True)


def _undo(calls: Calls) -> None:
    """Let calls that were answered, and not told, be without an answer."""
    for call in calls:
        call.is_done, call.error = False, None


def _step(
    calls: Calls, rows: dict[bytes, PromiseRow], now: datetime
) -> tuple[list[RowCall[Any]], dict[bytes, Change]]:
    """Return the calls that are not done, and the changes to make for them."""
    left: list[RowCall[Any]] = []
    changes: dict[bytes, Change] = {}
    for call in calls:
        if changes and not changes.keys().isdisjoint(call.ids):
            # Its promise is about to change.
            left.append(call)
            continue
        try:
            wanted = call.step(rows, now)
        except BackendError as error:
            call.fail(error)
            continue
        if not call.is_done:
            left.append(call)
            for change in wanted:
                changes[change.before.id] = change
    return left, changes
