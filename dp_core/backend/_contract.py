"""`Backend`: five methods that keep promises; and protocols of what some can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias, runtime_checkable

from dp_core._checks import Check
from dp_core._errors import PromiseDisposedError
from dp_core._states import Outcome, State

__all__ = [
    "Backend",
    "Checkable",
    "Located",
    "MadeOnUse",
    "TimedBackend",
    "Told",
    "Watchable",
    "WireBackend",
]

Told: TypeAlias = tuple[str, Outcome[bytes] | PromiseDisposedError]
"""The id of a promise, and its outcome, or that it was disposed of."""


class Backend(ABC):
    """
    A place where promises live.

    A backend moves JSON text as bytes, never Python objects: ``Resolved.value``
    is bytes, ``Rejected.error`` a str. It does not look into a value and
    returns it byte for byte. Ids and values were checked before they come
    here; ids are compared as they are.

    Every backend guarantees, in any number of processes, threads and
    event loops it claims to serve:

    1. The first outcome wins, until the promise is disposed of. Later settles
       change nothing and return it.
    2. An outcome that `settle` has returned survives the crash of any process,
       and a power cut where the backend is durable.
    3. An outcome that `peek`, `wait` or `settle` ever returned never changes
       and never disappears, except by `dispose`: none is returned before it is
       durable.
    4. `wait` returns whether the promise is settled before it, after it, or
       from elsewhere; no wake-up is lost.
    5. Cancelling any operation leaves a whole state, and repeating it is safe.

    A handle outlives the failure of an operation: once what failed works again, so
    does the handle, and what was not acknowledged is looked up, not assumed.

    All methods may be called concurrently. All are cancellable, and each is a
    checkpoint of the event loop.
    """

    @abstractmethod
    async def peek(self, id: str) -> State[bytes]:
        """
        Return the promise's state without waiting for anybody.

        An id nobody has named yet is pending. An outcome is returned only
        when it is durable.
        """

    @abstractmethod
    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        """
        Settle the promise unless it is settled; return its outcome.

        Returns once that outcome is durable. Losing to an earlier outcome is
        not an error.
        """

    @abstractmethod
    async def wait(self, id: str) -> Outcome[bytes]:
        """
        Return the outcome, as soon as there is one.

        A failure that may pass does not end it: too many open files, a store that
        is away for a while, a server that restarts. The caller's deadline does,
        and so does closing the handle.

        Raises:
            PromiseDisposedError: The promise was disposed of meanwhile.
            BackendClosedError: The handle was closed meanwhile.
        """

    @abstractmethod
    async def dispose(self, id: str) -> None:
        """
        Forget the promise; its id is pending again, and afresh.

        Its waiters get `PromiseDisposedError`. Disposing of an unknown promise
        is allowed. Returns once the disposal is durable.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """
        Release what this handle holds; promises are not touched.

        Closing twice is allowed. Its waits end with `BackendClosedError`, in
        whatever thread and event loop they are. Operations after it raise
        `BackendClosedError`.
        """

    # As of sockets and locks. Whoever pickles a handle gets as far as its backend.
    def __getstate__(self) -> object:
        raise TypeError(
            "a handle cannot be pickled, and has no deep copy: send the URL of the "
            "store and the id of the promise to the other process, and let it call "
            "durable_promise(id, url)"
        )


@runtime_checkable
class TimedBackend(Protocol):
    """
    Optional protocol: backends whose store may be silent, or away.

    That a wait is over does not say that its promise is pending: nobody may have
    been asked. Used by `wait_or_peek`, and so by ``get(timeout=…)``.
    """

    async def wait_for(self, id: str, seconds: float) -> State[bytes]:
        """
        Return the outcome as soon as there is one; `Pending` when time is over.

        Args:
            id: The promise's id.
            seconds: The longest wait. With 0 the store is asked once, and not
                again where it is away.

        Raises:
            BackendUnavailableError: The store has not said that it is pending.
            PromiseDisposedError: The promise was disposed of meanwhile.
        """


@runtime_checkable
class Watchable(Protocol):
    """
    Optional protocol: backends that wait for many promises as for one.

    Used by `watch_all`, which makes a wait for each where a backend has it not, or says
    that its store does not support it.
    """

    def watch(
        self, ids: Collection[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Told]]:
        """
        Watch promises, and tell each of them once.

        Entering returns when all are watched: from then on, no outcome and no disposal
        is missed. The iterator tells those first that are settled by then, in the
        order of *ids*, and the others as they are settled or disposed of; it ends when
        all are told. An id that comes twice is told once. What may pass ends no watch,
        as it ends no wait. Nothing of it is left after the block, however that ends.

        The iterator is for one caller, in the block, and only while it is asked it need
        wait. Where it raises, the watch is over:

        Raises:
            NotSupportedError: On entering: the store cannot say when all are watched.
            BackendClosedError: The handle was closed.
            BackendError: A promise is damaged, or the store was never reached.
        """


@runtime_checkable
class WireBackend(Protocol):
    """
    Optional protocol: backends that reach their store over `dp_core.wire`.

    Used by ``dp conformance``, which then tries the laws of the wire, too.
    """

    @property
    def wire_url(self) -> str:
        """The URL before the paths of the wire, such as ``http://host:8080``."""


@runtime_checkable
class Located(Protocol):
    """
    Optional protocol: backends whose store has more than one URL.

    Handles are equal, and `dp_core.durable_promise` shares one, where this is equal.
    """

    @property
    def location(self) -> str:
        """
        The store's URL in its normal form.

        As it was when the handle was made: with an absolute path, without links.
        """


@runtime_checkable
class MadeOnUse(Protocol):
    """
    Optional protocol: backends that make their store when it is first used.

    Used by ``dp``, so that a misspelt URL is not taken for an empty store.
    """

    async def is_made(self) -> bool:
        """Tell whether the store is there; nothing is made."""


@runtime_checkable
class Checkable(Protocol):
    """
    Optional protocol: backends that can say how it is with their store.

    Used by ``dp doctor``, which otherwise looks at one promise.
    """

    def check(self) -> AsyncIterator[Check]:
        """
        Look at the store and at what is around it, and tell of each thing.

        Nothing is made, changed or repaired, in the store or beside it. Things are told
        as they are found, and each in seconds: who falls silent for longer is not
        waited for. It ends after the problem that leaves nothing else to look at, and
        raises nothing on purpose.
        """
