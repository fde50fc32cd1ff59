"""`PromiseMachine`: a backend and a model, step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import timedelta
from inspect import isawaitable
from itertools import count
from typing import Any, ClassVar, Final
from uuid import uuid4

import hypothesis.strategies as st
from anyio.from_thread import start_blocking_portal
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dp_core._errors import PromiseDisposedError
from dp_core._states import Outcome
from dp_core._terms import Query, StateName, Terms
from dp_core.backend import Backend
from dp_core.testing._deadlines import DeadlineClock
from dp_core.testing.kit import abilities_of
from dp_core.testing.stateful._model import PromiseModel
from dp_core.testing.stateful._values import json_values, outcomes
from dp_core.values import encode

__all__ = ["PromiseMachine"]

_HALF: Final = timedelta(minutes=30)
"""A part of the step of the clock: no deadline comes by itself during a run."""

_PATIENCE_AFTER_A_TIMEOUT: Final = 1.0
_names = count()


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
        self._model = PromiseModel()
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
        first = self._model.settle(id, outcome)
        self._agree("settle", id, self._do("settle", which, id, outcome), first)
        self._check_waiters()

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
            None
            if hours is None
            else self._model.moment + timedelta(hours=hours) + _HALF
        )
        terms = Terms(
            deadline,
            otherwise if deadline else None,
            {"kind": kind} if kind else {},
            None if data is None else encode(data),
        )
        first = self._model.create(id, terms)
        self._agree("create", id, self._do("create", which, id, terms), first)
        self._check_waiters()

    @precondition(lambda self: self.own_clock and self.keeps_terms)
    @rule(hours=st.sampled_from((-1, 1, 2)))
    def move_the_clock(self, hours: int) -> None:
        """Move the clock on, or back: deadlines settle, and what is settled stays."""
        self._model.move(timedelta(hours=hours))
        self._clock.advance(timedelta(hours=hours))
        self._check_waiters()

    @precondition(lambda self: self.keeps_terms)
    @rule(n=st.integers(0, 2), which=st.booleans())
    def info(self, n: int, which: bool) -> None:  # noqa: FBT001 - drawn
        """Ask for all that is known about a promise."""
        id = self._id(n)
        info = self._do("info", which, id)
        self._agree("info", id, info, self._model.info(id, info))

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
        known = self._model.listed(state, newest=newest)
        found: list[str] = []
        after: str | None = None
        while True:
            page = self._do("list", which, query, after, limit)
            found += [info.id for info in page.infos]
            after = page.after
            if after is None or len(found) > len(known):
                break
        if not self._model.is_in_order:
            found, known = sorted(found), sorted(known)
        self._agree("list", f"{query}", found, known)

    @rule(n=st.integers(0, 2), which=st.booleans())
    def dispose(self, n: int, which: bool) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Dispose of a promise that has no waiters."""
        id = self._id(n)
        if not any(waited == id for waited, _ in self._waiting):
            self._do("dispose", which, id)
            self._model.dispose(id)

    @rule(n=st.integers(0, 2), which=st.booleans())
    def wait(self, n: int, which: bool) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Wait for a promise; a wait for a pending one goes on beside other steps."""
        id = self._id(n)
        future = self._portal.start_task_soon(self._handle(which).wait, id)
        self._waiting.append((id, future))
        self._check_waiters()

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
                known = self._model.state(id)
                self._agree("peek", id, self._do("peek", which, id), known)
        for id, future in self._waiting:
            if future.done():
                result = self._result(future)
                raise AssertionError(
                    f"wait({id!r}) gave {result!r}, but the promise is pending"
                )

    def _check_waiters(self) -> None:
        """Check that all who wait for promises that are settled are told."""
        for id, future in [*self._waiting]:
            if self._model.is_settled(id):
                self._agree("wait", id, self._result(future), self._model.state(id))
                self._waiting.remove((id, future))

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
