"""Coroutines, seen at each of their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


@coroutine
def stepped(
    operation: Coroutine[Any, Any, T], moment: Callable[[], None]
) -> Generator[Any, Any, T]:
    """Await *operation*, calling *moment* before and after each of its checkpoints."""
    resume: Any = operation.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        moment()
        try:
            value = yield trap
            resume = operation.send
        except BaseException as error:  # noqa: BLE001 - it is passed on
            value, resume = error, operation.throw
        moment()
