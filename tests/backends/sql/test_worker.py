"""The thread of a store: started by calls, shared by loops, and gone when idle."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from dp_backends.sql._working import (
    Ask,
    Call,
    DisposeCall,
    PeekCall,
    SettleCall,
    Worker,
    _worker,
)
from dp_core import (
    BackendClosedError,
    BackendUnavailableError,
    OutcomeUnknownError,
    Pending,
    Resolved,
)
from support.sqlite.sessions import Database, failure

pytestmark = pytest.mark.anyio

ONE = Resolved(b"1")


@pytest.fixture
def database() -> Database:
    """Return a database without promises."""
    return Database()


@pytest.fixture
async def worker(database: Database) -> AsyncIterator[Worker]:
    """Return a worker, which is closed at the end."""
    worker = Worker(database.connect, 5.0)
    yield worker
    await worker.aclose()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker, "_FIRST_PAUSE", 0.0)


def settle(id: bytes = b"a") -> SettleCall:
    """Return a call that settles a promise."""
    return SettleCall(id, ONE)


class Gate:
    """A place where the worker thread stops until it is let through."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._reached.set()
        assert self._open.wait(30)

    async def reached(self) -> None:
        """Wait until the thread is there."""
        assert await anyio.to_thread.run_sync(self._reached.wait, 30)

    def open(self) -> None:
        """Let it through."""
        self._open.set()


async def test_calls_that_come_meanwhile_share_a_batch(
    database: Database, worker: Worker
) -> None:
    """What comes while a batch is under way is the next batch, as a whole."""
    gate = Gate()
    database.calls("begin", gate)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.do, settle(b"first"))
        await gate.reached()
        for number in range(50):
            tasks.start_soon(worker.do, settle(b"%d" % number))
        await anyio.wait_all_tasks_blocked()
        gate.open()

    assert 2 == database.log.count("commit")
    assert 51 == len(database.rows)


async def test_one_thread_for_all(database: Database, worker: Worker) -> None:
    """All work is done by one thread, which is not that of the event loop."""
    for number in range(20):
        await worker.do(settle(b"%d" % number))

    assert 1 == len(database.threads)
    assert threading.get_ident() not in database.threads


async def test_a_cancelled_call_is_withdrawn(
    database: Database, worker: Worker
) -> None:
    """A call that is cancelled before its batch begins is not done."""
    gate = Gate()
    database.calls("begin", gate)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.do, settle(b"first"))
        await gate.reached()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await worker.do(settle(b"withdrawn"))
        gate.open()
    await worker.do(settle(b"last"))

    assert {b"first", b"last"} == set(database.rows)


async def test_a_call_under_way_is_done_without_its_caller(
    database: Database, worker: Worker
) -> None:
    """Who is cancelled while his batch is under way leaves; the batch is committed."""
    gate = Gate()
    database.calls("commit", gate)

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(_cancel_at, gate, scope)
            await worker.do(settle())

    assert scope.cancelled_caught
    assert ONE == await worker.do(PeekCall(b"a"))


async def _cancel_at(gate: Gate, scope: anyio.CancelScope) -> None:
    await gate.reached()
    scope.cancel()
    gate.open()


async def test_what_passes_is_tried_again(database: Database, worker: Worker) -> None:
    """A database that is away for a while costs its callers time only."""
    database.fails("connect", failure(is_passing=True))
    database.fails("commit", failure(is_passing=True, is_unknown=True))

    assert ONE == await worker.do(settle())
    assert 3 == database.log.count("connect")


@pytest.mark.parametrize(
    ("make", "how", "kind"),
    [
        (settle, {}, BackendUnavailableError),
        (settle, {"is_unknown": True}, OutcomeUnknownError),
        (
            lambda: DisposeCall(b"a"),
            {"is_passing": True, "is_unknown": True},
            OutcomeUnknownError,
        ),
    ],
    ids=["untouched", "unknown", "not to be repeated"],
)
async def test_what_a_failure_means(
    database: Database,
    worker: Worker,
    make: Callable[[], Call[Any]],
    how: dict[str, bool],
    kind: type[Exception],
) -> None:
    """A failed commit is told as what it is, and a disposal is not repeated blindly."""
    database.fails("commit", failure("the reason", **how))

    with pytest.raises(kind, match="the reason"):
        await worker.do(make())


async def test_patience_ends(database: Database) -> None:
    """A call is tried for as long as its patience, or once if it has none."""
    impatient = Worker(database.connect, 0.0)
    patient = Worker(database.connect, 60.0)
    database.fails("read", *[failure("away", is_passing=True)] * 2)

    with pytest.raises(BackendUnavailableError, match="away"):
        await impatient.do(PeekCall(b"a"))
    with pytest.raises(BackendUnavailableError, match="away"):
        await patient.do(PeekCall(b"a", is_patient=False))

    await impatient.aclose()
    await patient.aclose()


async def test_one_bad_call_fails_alone(database: Database, worker: Worker) -> None:
    """Where one call of a batch may be at fault, each is tried alone."""
    gate = Gate()
    database.calls("begin", gate)
    results: dict[bytes, object] = {}

    async def do(id: bytes) -> None:
        try:
            results[id] = await worker.do(settle(id))
        except BackendUnavailableError as error:
            results[id] = error.reason

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(do, b"first")
        await gate.reached()
        for id in (b"a", b"b", b"c"):
            tasks.start_soon(do, id)
        await anyio.wait_all_tasks_blocked()
        # The first alone; the three together; and the second of them alone.
        too_big = failure("too big", may_be_of_one=True)
        database.calls("write", lambda: None)
        database.fails("write", too_big)
        database.calls("write", lambda: None)
        database.fails("write", too_big)
        gate.open()

    assert [ONE, ONE, ONE, "too big"] == sorted(results.values(), key=str)


async def test_a_broken_session_is_replaced(database: Database, worker: Worker) -> None:
    """After a failure that breaks a session the next call has another one."""
    database.fails("commit", failure(breaks=True))
    with pytest.raises(BackendUnavailableError):
        await worker.do(settle())

    assert ONE == await worker.do(settle())
    assert (2, 1) == (database.log.count("connect"), database.log.count("close"))


async def test_an_unexpected_error_reaches_the_caller(
    database: Database, worker: Worker
) -> None:
    """A bug is raised where the call was made, and the thread goes on."""

    def bug(session: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await worker.do(Ask(bug))

    assert Pending() == await worker.do(PeekCall(b"a"))


@pytest.mark.parametrize("error", [ZeroDivisionError(), BackendUnavailableError("no")])
async def test_a_question_that_fails_takes_nobodys_result(
    database: Database, worker: Worker, error: Exception
) -> None:
    """Whatever it raises, what came together with it has its own."""
    gate = Gate()
    database.calls("begin", gate)
    results: dict[str, object] = {}

    def fail(session: object) -> None:
        raise error

    async def do(name: str, call: Call[Any]) -> None:
        try:
            results[name] = await worker.do(call)
        except Exception as failure:  # noqa: BLE001 - it is looked at
            results[name] = type(failure)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(do, "first", settle(b"first"))
        await gate.reached()
        tasks.start_soon(do, "settle", settle())
        tasks.start_soon(do, "asks", Ask(lambda session: 1))
        tasks.start_soon(do, "fails", Ask(fail))
        await anyio.wait_all_tasks_blocked()
        gate.open()

    told = {"first": ONE, "settle": ONE, "fails": type(error)}
    if isinstance(error, BackendUnavailableError):
        assert told | {"asks": 1} == results
    else:
        # A mistake of our own: what was not told by then may be wrong, too.
        assert told == {name: results[name] for name in told}


async def test_closing_ends_what_was_not_begun(database: Database) -> None:
    """Closing waits for the batch under way; what has not begun fails."""
    worker = Worker(database.connect, 5.0)
    gate = Gate()
    database.calls("commit", gate)
    results: dict[str, object] = {}

    async def do(name: str) -> None:
        try:
            results[name] = await worker.do(settle(name.encode()))
        except BackendClosedError:
            results[name] = "closed"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(do, "begun")
        await gate.reached()
        tasks.start_soon(do, "not begun")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(worker.aclose)
        await anyio.wait_all_tasks_blocked()
        gate.open()

    assert {"begun": ONE, "not begun": "closed"} == results
    assert {b"begun"} == set(database.rows)
    assert "close" == database.log[-1]


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
async def test_a_fork_waits_for_the_batch(database: Database, worker: Worker) -> None:
    """The child of a fork has no thread and no session, and can be used."""
    await worker.do(settle())

    assert 0 == await anyio.to_thread.run_sync(_fork, worker)
    assert ONE == await worker.do(PeekCall(b"a"))
    # Closed before the fork: neither process has an open one of the other.
    assert (2, 1) == (database.log.count("connect"), database.log.count("close"))


def _fork(worker: Worker) -> int:
    """Return the exit code of a child that uses the worker."""
    child = os.fork()
    if not child:
        try:
            os._exit(ONE != anyio.run(worker.do, PeekCall(b"a")))
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
