"""`told_in_time`: what an async iterator tells, as long as it does not fall silent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar, final

import anyio

__all__ = ["told_in_time"]

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    """Something that was told."""

    value: T


@final
@dataclass(frozen=True, slots=True)
class _End:
    """The end, and what it ended with."""

    failure: BaseException | None


def told_in_time(
    tell: Callable[[], AsyncIterator[T]], seconds: float, *, each: bool
) -> Iterator[T]:
    """
    Yield what an async iterator yields, and wait for no longer than is said.

    It runs in an event loop of its own, in a thread that nobody joins: a disk, a
    server, or the code of a plugin may hang so that no event loop could end it. That
    thread, and those that it has started, end with the process.

    Args:
        tell: Makes the iterator, in that thread.
        seconds: The longest time to wait.
        each: Whether that is for each item anew; else it is for all.

    Raises:
        TimeoutError: The time is over.
        BaseException: Whatever ended the iterator.
    """
    told: SimpleQueue[_Item[T] | _End] = SimpleQueue()

    async def run() -> None:
        async for value in tell():
            told.put(_Item(value))

    def work() -> None:
        failure: BaseException | None = None
        try:
            anyio.run(run)
        except BaseException as error:  # noqa: BLE001 - raised below, in another thread
            failure = error
        told.put(_End(failure))

    Thread(target=work, name="dp-look", daemon=True).start()
    ends = time.monotonic() + seconds
    while True:
        try:
            item = told.get(timeout=max(0.0, ends - time.monotonic()))
        except Empty:
            raise TimeoutError from None
        if isinstance(item, _End):
            if item.failure is not None:
                raise item.failure
            return
        yield item.value
        if each:
            ends = time.monotonic() + seconds
