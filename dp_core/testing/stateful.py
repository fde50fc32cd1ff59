"""
`PromiseMachine`: a hypothesis state machine that compares a backend with a dict.

The machine makes the calls that users make, through two handles where they are
shared, and after every step each promise must be in the state that the model
gives it. Where the store keeps terms, it also creates promises, asks for all that is
known, and lists them; where deadlines are those of this process, it moves their clock.
A failure is shrunk to the fewest steps. The model is a few dicts; it shares nothing
with `dp_core.transition`.

.. code-block:: python

    class MyMachine(PromiseMachine):
        durable = shared = True

        def open_backend(self):
            return MyBackend(folder)


    TestMyMachine = MyMachine.TestCase

Hypothesis drives it from synchronous code, so each machine has an event loop
in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from itertools import count
from typing import Any, ClassVar, Final
from uuid import uuid4

from anyio.from_thread import start_blocking_portal

from dp_core._extras import without_extra

try:
    import hypothesis.strategies as st
    from hypothesis.stateful import (
        RuleBasedStateMachine,
        invariant,
        precondition,
        rule,
    )
except ModuleNotFoundError as error:
    raise without_extra(error, "suites of the kit need", "testing") from None

from dp_core._errors import PromiseDisposedError
from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._terms import PromiseInfo, Query, StateName, Terms, state_name
from dp_core.backend import Backend
from dp_core.testing._deadlines import DeadlineClock
from dp_core.testing.kit import abilities_of
from dp_core.values import encode

__all__ = ["PromiseMachine", "json_values", "messages", "outcomes"]

_HALF: Final = timedelta(minutes=30)
"""A part of the step of the clock: no deadline comes by itself during a run."""

_PATIENCE_AFTER_A_TIMEOUT: Final = 1.0
_names = count()


def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values, with any text, integer and float."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | messages()
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(messages(), inner, max_size=4)
        ),
        max_leaves=8,
    )


def messages() -> st.SearchStrategy[str]:
    """Return a strategy for messages of rejections: any text."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def outcomes() -> st.SearchStrategy[Outcome[bytes]]:
    """Return a strategy for outcomes: values and rejections."""
    values = json_values().map(encode).map(Resolved)
    rejections: st.SearchStrategy[Outcome[bytes]] = messages().map(Rejected)
    return values | rejections


class PromiseMachine(RuleBasedStateMachine):
    """
    Random operations on some promises, compared with a dict.

    Attributes:
        loop: The event loop to run on, "asyncio" or "trio".
        durable: Whether promises outlive all handles.
        shared: Whether two handles see each other.
        own_clock: Whether its deadlines are those of `dp_core.backend.now` in this
            process; then the machine moves that clock.
        patience: How long a call may take, in seconds.
    """

    loop: ClassVar[str] = "asyncio"
    durable: ClassVar[bool | None] = None
    shared: ClassVar[bool | None] = None
    own_clock: ClassVar[bool] = False
    patience: ClassVar[float] = 30.0

    def open_backend(self) -> Backend | Awaitable[Backend]:
        """Return another handle on the store; subclasses override this."""
        raise NotImplementedError("override open_backend() of PromiseMachine")

    def __init__(self) -> None:
        if self.durable is None or self.shared is None:
            raise NotImplementedError(
                "set durable and shared of the machine to True or False"
            )
        super().__init__()
        self._stack = ExitStack()
        self._clock = self._stack.enter_context(DeadlineClock())
        self._portal = self._stack.enter_context(start_blocking_portal(self.loop))
        # The store is the same for all examples; the ids are not.
        self._prefix = f"machine-{uuid4().hex}-{next(_names)}-"
        self._model: dict[str, Outcome[bytes]] = {}
        self._terms: dict[str, Terms[bytes]] = {}
        self._expired: set[str] = set()
        # In the order in which they were first heard of.
        self._heard_of: list[str] = []
        self._moment = datetime.now(UTC)
        # Whether the clock was never set back: a store of many writers may know by it
        # alone who came first.
        self._is_in_order = True
        self._handles: list[Backend] = []
        self._waiting: list[tuple[str, Future[Any]]] = []
        self._open()
        self.keeps_terms, self.can_list = self._portal.call(
            abilities_of, self._handles[0]
        )

    def teardown(self) -> None:
        for _, future in self._waiting:
            future.cancel()
        for handle in self._handles:
            self._portal.call(handle.aclose)
        self._stack.close()

    # Operations -------------------------------------------------------------

    @rule(n=st.integers(0, 2), which=st.booleans(), outcome=outcomes())
    def settle(self, n: int, which: bool, outcome: Outcome[bytes]) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Settle a promise: the model keeps the first outcome."""
        id = self._id(n)
        first = self._model.setdefault(id, outcome)
        self._hear_of(id)
        self._agree("settle", id, self._do("settle", which, id, outcome), first)
        self._tell_waiters(id)

    @precondition(lambda self: self.keeps_terms)
    @rule(
        n=st.integers(0, 2),
        which=st.booleans(),
        hours=st.sampled_from((None, -100_000, 0, 1, 100_000)),
        otherwise=outcomes(),
        kind=st.sampled_from(("", "a", "b")),
        data=st.none() | json_values(),
    )
    def create(  # noqa: PLR0913, PLR0917 - a rule's arguments are drawn
        self,
        n: int,
        which: bool,  # noqa: FBT001 - drawn
        hours: int | None,
        otherwise: Outcome[bytes],
        kind: str,
        data: Any,
    ) -> None:
        """Create a promise: the model keeps the first terms."""
        id = self._id(n)
        deadline = (
            None if hours is None else self._moment + timedelta(hours=hours) + _HALF
        )
        terms = Terms(
            deadline,
            otherwise if deadline else None,
            {"kind": kind} if kind else {},
            None if data is None else encode(data),
        )
        first = self._terms.setdefault(id, terms)
        self._hear_of(id)
        self._agree("create", id, self._do("create", which, id, terms), first)
        self._expire()

    @precondition(lambda self: self.own_clock and self.keeps_terms)
    @rule(hours=st.sampled_from((-1, 1, 2)))
    def move_the_clock(self, hours: int) -> None:
        """Move the clock on, or back: deadlines settle, and what is settled stays."""
        self._is_in_order &= hours > 0
        self._moment += timedelta(hours=hours)
        self._clock.advance(timedelta(hours=hours))
        self._expire()

    @precondition(lambda self: self.keeps_terms)
    @rule(n=st.integers(0, 2), which=st.booleans())
    def info(self, n: int, which: bool) -> None:  # noqa: FBT001 - drawn
        """Ask for all that is known about a promise."""
        id = self._id(n)
        info = self._do("info", which, id)
        known = PromiseInfo(
            id,
            self._model.get(id, Pending()),
            self._terms.get(id),
            # A clock has said when; the model knows only whether it has.
            info.created_at if id in self._terms else None,
            info.settled_at if id in self._model else None,
            expired=id in self._expired,
            cursor=info.cursor if id in self._heard_of else None,
        )
        self._agree("info", id, info, known)

    @precondition(lambda self: self.can_list)
    @rule(
        which=st.booleans(),
        state=st.sampled_from((None, "pending", "resolved", "rejected")),
        newest=st.booleans(),
        limit=st.integers(1, 3),
    )
    def list(
        self,
        which: bool,  # noqa: FBT001 - drawn
        state: StateName | None,
        newest: bool,  # noqa: FBT001 - drawn
        limit: int,
    ) -> None:
        """List the promises, page by page."""
        query = Query(state, prefix=self._prefix, newest=newest)
        known = [
            id
            for id in self._heard_of
            if state in (None, state_name(self._model.get(id, Pending())))
        ]
        found: list[str] = []
        after: str | None = None
        while True:
            page = self._do("list", which, query, after, limit)
            found += [info.id for info in page.infos]
            after = page.after
            if after is None or len(found) > len(known):
                break
        if newest:
            known.reverse()
        if not self._is_in_order:
            found, known = sorted(found), sorted(known)
        self._agree("list", f"{query}", found, known)

    @rule(n=st.integers(0, 2), which=st.booleans())
    def dispose(self, n: int, which: bool) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Dispose of a promise that has no waiters."""
        id = self._id(n)
        if not any(waited == id for waited, _ in self._waiting):
            self._do("dispose", which, id)
            self._model.pop(id, None)
            self._terms.pop(id, None)
            self._expired.discard(id)
            if id in self._heard_of:
                self._heard_of.remove(id)

    @rule(n=st.integers(0, 2), which=st.booleans())
    def wait(self, n: int, which: bool) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Wait for a promise; a wait for a pending one goes on beside other steps."""
        id = self._id(n)
        future = self._portal.start_task_soon(self._handle(which).wait, id)
        if id in self._model:
            self._agree("wait", id, self._result(future), self._model[id])
        else:
            self._waiting.append((id, future))

    @precondition(lambda self: self._waiting)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """Cancel a wait; it changes nothing."""
        waiter = data.draw(st.sampled_from(self._waiting))
        self._waiting.remove(waiter)
        waiter[1].cancel()

    @precondition(lambda self: self.durable and not self._waiting)
    @rule()
    def reopen(self) -> None:
        """Close every handle and open the store again."""
        while self._handles:
            self._portal.call(self._handles.pop().aclose)
        self._open()

    @invariant()
    def every_promise_agrees_with_the_model(self) -> None:
        """Peek at every promise through every handle."""
        for n in range(3):
            id = self._id(n)
            for which in (False, True):
                known = self._model.get(id, Pending())
                self._agree("peek", id, self._do("peek", which, id), known)
        for id, future in self._waiting:
            if future.done():
                result = self._result(future)
                raise AssertionError(
                    f"wait({id!r}) gave {result!r}, but the promise is pending"
                )

    # The model --------------------------------------------------------------

    def _hear_of(self, id: str) -> None:
        if id not in self._heard_of:
            self._heard_of.append(id)

    def _expire(self) -> None:
        """Let the deadlines that are over settle what is pending."""
        for id, terms in self._terms.items():
            deadline, otherwise = terms.deadline, terms.otherwise
            if id in self._model or deadline is None or otherwise is None:
                continue
            if deadline <= self._moment:
                self._model[id] = otherwise
                self._expired.add(id)
                self._tell_waiters(id)

    def _tell_waiters(self, id: str) -> None:
        """Check that all who wait for a promise that is settled are told."""
        for waited, future in [*self._waiting]:
            if waited == id:
                self._agree("wait", id, self._result(future), self._model[id])
                self._waiting.remove((waited, future))

    # Helpers ----------------------------------------------------------------

    def _id(self, n: int) -> str:
        return f"{self._prefix}{n}"

    def _open(self) -> None:
        for _ in range(2 if self.shared else 1):
            self._handles.append(self._portal.call(self._opened))

    async def _opened(self) -> Backend:
        backend = self.open_backend()
        return await backend if isawaitable(backend) else backend

    def _handle(self, which: bool) -> Backend:  # noqa: FBT001 - drawn
        return self._handles[which and len(self._handles) > 1]

    def _do(self, operation: str, which: bool, *arguments: Any) -> Any:  # noqa: FBT001 - drawn
        method: Callable[..., Any] = getattr(self._handle(which), operation)
        return self._result(self._portal.start_task_soon(method, *arguments))

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result(self.patience)
        except PromiseDisposedError as error:
            return error
        except TimeoutError:
            future.cancel()
            # Shrinking a failure repeats it some hundred times.
            type(self).patience = _PATIENCE_AFTER_A_TIMEOUT
            raise AssertionError("the call did not end in time") from None

    def _agree(self, operation: str, id: str, result: object, known: object) -> None:
        if result != known:
            raise AssertionError(f"{operation}({id!r}) gave {result!r}, not {known!r}")
