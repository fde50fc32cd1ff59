"""`ConformanceRun`: what the laws of one run share; `Effort`, and `Tempo`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Final, TypeAlias, Union, final

from dp_core._errors import DurablePromiseError, NotSupportedError
from dp_core._terms import Query
from dp_core.backend import Backend, Registry, Watchable

__all__ = ["ConformanceRun", "Effort", "OpenBackend", "Outage", "Tempo", "abilities_of"]

_SMOOTHING: Final = 8
_DECAY: Final = 0.999

OpenBackend: TypeAlias = Callable[[], Union[Backend, Awaitable[Backend]]]
"""Opens another handle on the store under test."""

Outage: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""
Makes a context in which the store under test fails, as it may for a while.

A server is stopped and started again, a directory is away and comes back. What was
acknowledged is there afterwards, where the store is durable.
"""


@final
@dataclass(frozen=True, slots=True)
class Effort:
    """
    The amount of work that goes into breaking a law.

    Attributes:
        histories: How many concurrent histories are recorded and checked.
        crowd: How many waiters there are where there are many.
        volume: How many promises there are where there are many.
        linger: How long a promise is left alone, in seconds.
        patience: How long any call may take, in seconds.
    """

    histories: int = 60
    crowd: int = 256
    volume: int = 1100
    linger: float = 5.5
    patience: float = 10.0


class Tempo:
    """
    Running estimates of how long calls take.

    Attributes:
        seconds: Moving average of the calls that wait for nobody.
        longest: The longest time a law waited for the end of a call.
    """

    def __init__(self) -> None:
        self.seconds = 0.006
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Add the duration of a call that waits for nobody."""
        self.seconds += (seconds - self.seconds) / _SMOOTHING

    def waited(self, seconds: float) -> None:
        """Add the time that a law waited for the end of a call."""
        # It decays, so that one hiccup of the machine does not count for long.
        self.longest = max(seconds, self.longest * _DECAY)


@dataclass(slots=True)
class ConformanceRun:
    """
    State that the laws of one run share.

    Attributes:
        open_backend: Opens another handle on the store.
        durable: Whether what was acknowledged outlives all handles.
        shared: Whether two handles see each other.
        terms: Whether the store keeps terms; None before it was asked.
        listing: Whether it can be listed; None before it was asked.
        watch: Whether its promises can be watched; None before it was asked.
        seed: Decides every random choice.
        effort: How much work goes into each law.
        patience: How long a call may take from now on, in seconds.
        checked: How many histories were checked so far.
        tempo: How long calls take.
        outage: Makes the store fail for a while; None if nobody says how.
        own_process: Whether the process is there for the run alone.
    """

    open_backend: OpenBackend
    durable: bool
    shared: bool
    seed: int
    effort: Effort
    patience: float
    checked: int = 0
    tempo: Tempo = field(default_factory=Tempo)
    outage: Outage | None = None
    own_process: bool = False
    terms: bool | None = None
    listing: bool | None = None
    watch: bool | None = None

    async def ask(self) -> None:
        """Ask what the store, and its backend, can; once."""
        if self.terms is not None:
            return
        opened = self.open_backend()
        backend = await opened if isawaitable(opened) else opened
        try:
            # Stands where the next line hangs: then the laws say so.
            self.watch = isinstance(backend, Watchable)
            self.terms, self.listing = await abilities_of(backend)
            self.watch = await _can_watch(backend)
        finally:
            await backend.aclose()


async def abilities_of(backend: Backend) -> tuple[bool, bool]:
    """Tell whether a store keeps terms, and whether it can be listed."""
    query = Query(prefix="no promise")
    return (
        await _works(backend, "info", "no promise"),
        await _works(backend, "list", query, None, 1),
    )


async def _works(backend: Backend, operation: str, *arguments: object) -> bool:
    """Tell whether a backend has an operation, and its store supports it."""
    if not isinstance(backend, Registry):
        return False
    try:
        await getattr(backend, operation)(*arguments)
    except NotSupportedError:
        return False
    except DurablePromiseError:
        # A law will say so.
        return True
    return True


async def _can_watch(backend: Backend) -> bool:
    """Tell whether a backend watches promises, and its store supports it."""
    if not isinstance(backend, Watchable):
        return False
    try:
        async with backend.watch(("no promise",)):
            return True
    except NotSupportedError:
        return False
    except Exception:  # noqa: BLE001 - a law will say so
        return True
