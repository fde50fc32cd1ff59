"""Calls that come together: few statements, nobody told too early, races noticed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from dp_backends.sql._sessions import Failure
from dp_backends.sql._working import (
    CreateCall,
    DisposeCall,
    InfoCall,
    LookCall,
    PeekCall,
    RowCall,
    SettleCall,
)
from dp_backends.sql._working._batch import run_batch
from dp_core import Pending, Rejected, Resolved, Terms
from dp_core.testing import DeadlineClock
from support.sqlite.sessions import Database, FakeSession, failure

ONE = Resolved(b"1")
TWO = Resolved(b"2")


@pytest.fixture
def database() -> Database:
    """Return a database without promises."""
    return Database()


def run(database: Database, *calls: RowCall[Any]) -> list[Sequence[RowCall[Any]]]:
    """Run a batch; return who was told, in groups."""
    told: list[Sequence[RowCall[Any]]] = []

    def tell(done: Sequence[RowCall[Any]]) -> None:
        if done:
            database.log.append("tell")
            told.append(done)

    run_batch(FakeSession(database), calls, tell)
    return told


def settled(database: Database, id: bytes, outcome: Resolved[bytes] = ONE) -> None:
    """Settle a promise."""
    run(database, SettleCall(id, outcome))
    database.log.clear()


def test_many_settles_are_two_statements_and_a_commit(database: Database) -> None:
    """A batch of settles is read once, written once, committed once, and then told."""
    calls = [SettleCall(b"%d" % number, ONE) for number in range(100)]

    told = run(database, *calls)

    assert [calls] == told
    assert ["read", "make_durable", "begin", "write", "commit"] == database.log[:5]
    assert ["make_durable", "ring", "tell"] == database.log[5:]
    assert [ONE] * 100 == [call.outcome() for call in calls]


def test_who_loses_takes_no_lock(database: Database) -> None:
    """A settle of what is settled writes nothing, and is told what won."""
    settled(database, b"a")
    call = SettleCall(b"a", TWO)

    run(database, call)

    assert ["read", "make_durable", "tell"] == database.log
    assert ONE == call.outcome()


def test_reads_do_not_wait_for_the_commit(database: Database) -> None:
    """Who only asks is told before the transaction of the others begins."""
    settled(database, b"a")
    peek, settle = PeekCall(b"a"), SettleCall(b"b", ONE)

    told = run(database, settle, peek)

    assert [[peek], [settle]] == told
    assert database.log.index("tell") < database.log.index("begin")


def test_the_first_of_a_batch_wins(database: Database) -> None:
    """Of two settles of one promise in a batch the first wins, and both are told so."""
    first, second = SettleCall(b"a", ONE), SettleCall(b"a", TWO)

    run(database, first, second)

    assert [ONE, ONE] == [first.outcome(), second.outcome()]
    assert 1 == database.log.count("write")


def test_calls_of_one_promise_follow_each_other(database: Database) -> None:
    """Settle, dispose, settle in one batch take effect one after another."""
    first, dispose, second = (
        SettleCall(b"a", ONE),
        DisposeCall(b"a"),
        SettleCall(b"a", TWO),
    )

    run(database, first, dispose, second)

    assert [ONE, None, TWO] == [c.outcome() for c in (first, dispose, second)]
    assert 1 == database.log.count("commit")


def test_who_was_slower_reads_again(database: Database) -> None:
    """Where somebody else was faster between read and write, his outcome is told."""
    other = Database()
    run(other, SettleCall(b"a", TWO))
    database.calls("begin", lambda: database.rows.update(other.rows))
    call, alone = SettleCall(b"a", ONE), SettleCall(b"b", ONE)

    run(database, call, alone)

    assert [TWO, ONE] == [call.outcome(), alone.outcome()]
    assert 2 == database.log.count("read")


def test_a_disposal_between_read_and_write_is_seen(database: Database) -> None:
    """A settle that meets a disposal settles the next generation."""
    other = Database()
    run(other, SettleCall(b"a", TWO))
    run(other, DisposeCall(b"a"))
    database.calls("begin", lambda: database.rows.update(other.rows))
    call = SettleCall(b"a", ONE)

    run(database, call)

    assert ONE == call.outcome()
    assert database.rows[b"a"].generation == other.rows[b"a"].generation


def test_the_place_of_a_promise_stays(database: Database) -> None:
    """A promise keeps its place when it is settled; its next generation has another."""
    run(database, CreateCall(b"a", Terms()))
    created = database.rows[b"a"].place
    run(database, SettleCall(b"a", ONE))
    assert created == database.rows[b"a"].place

    run(database, DisposeCall(b"a"))
    run(database, CreateCall(b"a", Terms()))

    assert created != database.rows[b"a"].place


def test_a_deadline_settles_whatever_is_asked(
    database: Database, deadline_clock: DeadlineClock
) -> None:
    """Who meets a promise that is over settles it, and is told that."""
    terms: Terms[bytes] = Terms(within=timedelta(1), deadline=deadline_clock.now)
    ids = [b"peek", b"settle", b"info", b"look"]
    run(database, *(CreateCall(id, terms) for id in ids))
    deadline_clock.advance(timedelta(2))
    peek, settle = PeekCall(b"peek"), SettleCall(b"settle", ONE)
    info, look = InfoCall(b"info"), LookCall(b"look")

    run(database, peek, settle, info, look)

    over = Rejected("deadline passed")
    assert [over, over] == [peek.outcome(), settle.outcome()]
    assert (over, True) == (info.outcome().state, info.outcome().expired)
    assert over == look.outcome()[b"look"].promise_state()


@pytest.mark.parametrize("step", ["begin", "write", "commit"])
def test_a_failure_answers_nobody(database: Database, step: str) -> None:
    """A transaction that fails is rolled back, and its calls have no answer."""
    database.fails(step, failure())
    calls = [SettleCall(b"a", ONE), SettleCall(b"a", TWO)]

    with pytest.raises(Failure):
        run(database, *calls)

    assert "rollback" == database.log[-1]
    assert [False, False] == [call.is_done for call in calls]
    assert {} == database.rows


def test_what_is_not_durable_is_not_told(database: Database) -> None:
    """Where rows that were read cannot be made durable, nobody is told of them."""
    settled(database, b"a")
    database.fails("make_durable", failure())
    call = PeekCall(b"a")

    with pytest.raises(Failure):
        run(database, call)

    assert not call.is_done


def test_a_damaged_row_fails_its_call_alone(database: Database) -> None:
    """A row that makes no sense is an error for who asks for it, not for others."""
    settled(database, b"a")
    database.rows[b"a"] = database.rows[b"a"]._replace(outcome=None)
    damaged, whole = PeekCall(b"a"), PeekCall(b"b")

    run(database, damaged, whole)

    with pytest.raises(Exception, match="damaged"):
        damaged.outcome()
    assert Pending() == whole.outcome()


def test_no_thread_of_its_own(database: Database) -> None:
    """A batch is run where it is called."""
    settled(database, b"a")

    assert {threading.get_ident()} == database.threads


def test_the_first_creator_is_told_so(database: Database) -> None:
    """Of equal creators exactly one is told that it was the first, also in a batch."""
    creators = [CreateCall(b"a", Terms(tags={"k": "1"})) for _ in range(3)]

    run(database, *creators)
    late = CreateCall(b"a", Terms(tags={"k": "1"}))
    run(database, late)

    assert [True, False, False] == [call.outcome().is_first for call in creators]
    assert late.outcome().is_first is False
