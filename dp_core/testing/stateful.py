"""
A hypothesis state machine: a backend against a dict.

The machine does what users do, through two handles where they are shared, and
after every step each promise must be what the model says. What fails is
shrunk to the fewest steps. The model is a dict and a counter; it shares
nothing with `dp_core.transition`.

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
from inspect import isawaitable
from itertools import count
from typing import Any, ClassVar, Final
from uuid import uuid4

import hypothesis.strategies as st
from anyio.from_thread import start_blocking_portal
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from dp_core._errors import PromiseDisposedError
from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core.backend import Backend
from dp_core.values import encode

__all__ = ["PromiseMachine", "json_values", "messages", "outcomes"]

_BOUND: Final = 30.0
_BOUND_ONCE_MISSED: Final = 1.0
_names = count()


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value: nested, with any text, any integer and any float."""
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
    """Any text that can be the message of a rejection."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def outcomes() -> st.SearchStrategy[Outcome[bytes]]:
    """What a promise can be settled with."""
    values = json_values().map(encode).map(Resolved)
    rejections: st.SearchStrategy[Outcome[bytes]] = messages().map(Rejected)
    return values | rejections


class PromiseMachine(RuleBasedStateMachine):
    """
    Users of some promises, against a dict.

    Attributes:
        loop: The event loop to run on, "asyncio" or "trio".
        durable: Whether promises outlive all handles.
        shared: Whether two handles see each other.
    """

    loop: ClassVar[str] = "asyncio"
    durable: ClassVar[bool | None] = None
    shared: ClassVar[bool | None] = None
    _bound: ClassVar[float] = _BOUND

    def open_backend(self) -> Backend | Awaitable[Backend]:
        """Return another handle on the store; subclasses override this."""
        raise NotImplementedError("override open_backend() of PromiseMachine")

    def __init__(self) -> None:
        if self.durable is None or self.shared is None:
            raise NotImplementedError("say what the store promises: durable, shared")
        super().__init__()
        self._stack = start_blocking_portal(self.loop)
        self._portal = self._stack.__enter__()
        # The store is the same for all examples; the ids are not.
        self._prefix = f"machine-{uuid4().hex}-{next(_names)}-"
        self._model: dict[str, Outcome[bytes]] = {}
        self._handles: list[Backend] = []
        self._waiting: list[tuple[str, Future[Any]]] = []
        self._open()

    def teardown(self) -> None:
        for _, future in self._waiting:
            future.cancel()
        for handle in self._handles:
            self._portal.call(handle.aclose)
        self._stack.__exit__(None, None, None)

    # What users do ----------------------------------------------------------

    @rule(n=st.integers(0, 2), which=st.booleans(), outcome=outcomes())
    def settle(self, n: int, which: bool, outcome: Outcome[bytes]) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Settle a promise: the first outcome is the model's, for good."""
        id = self._id(n)
        stands = self._model.setdefault(id, outcome)
        self._agree("settle", id, self._do("settle", which, id, outcome), stands)
        for waited, future in [*self._waiting]:
            if waited == id:
                self._agree("wait", id, self._told(future), stands)
                self._waiting.remove((waited, future))

    @rule(n=st.integers(0, 2), which=st.booleans())
    def dispose(self, n: int, which: bool) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Dispose of a promise; nobody waits for it, so nobody is told."""
        id = self._id(n)
        if not any(waited == id for waited, _ in self._waiting):
            self._do("dispose", which, id)
            self._model.pop(id, None)

    @rule(n=st.integers(0, 2), which=st.booleans())
    def wait(self, n: int, which: bool) -> None:  # noqa: FBT001 - a rule's arguments are drawn
        """Wait for a promise: at once where it is settled, else beside the rest."""
        id = self._id(n)
        future = self._portal.start_task_soon(self._handle(which).wait, id)
        if id in self._model:
            self._agree("wait", id, self._told(future), self._model[id])
        else:
            self._waiting.append((id, future))

    @precondition(lambda self: self._waiting)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """Give up a wait; nothing comes of it."""
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
    def all_is_as_the_model_says(self) -> None:
        """Peek at every promise through every handle."""
        for n in range(3):
            id = self._id(n)
            for which in (False, True):
                known = self._model.get(id, Pending())
                self._agree("peek", id, self._do("peek", which, id), known)
        for id, future in self._waiting:
            if future.done():
                told = self._told(future)
                raise AssertionError(f"wait({id!r}) told {told!r}: it is pending")

    # How it is done ---------------------------------------------------------

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
        return self._told(self._portal.start_task_soon(method, *arguments))

    def _told(self, future: Future[Any]) -> Any:
        try:
            return future.result(self._bound)
        except PromiseDisposedError as error:
            return error
        except TimeoutError:
            future.cancel()
            # To shrink a failure is to repeat it, some hundred times.
            type(self)._bound = _BOUND_ONCE_MISSED  # noqa: SLF001 - our own
            raise AssertionError("no answer in time") from None

    def _agree(self, what: str, id: str, told: object, known: object) -> None:
        if told != known:
            raise AssertionError(f"{what}({id!r}) told {told!r}, not {known!r}")
