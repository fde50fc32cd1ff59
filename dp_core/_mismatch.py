"""`Refused`: uses of a handle that belong to its async or its blocking form."""

from __future__ import annotations

from typing import Any, Final, NoReturn, final

from dp_core._errors import AsyncMismatchError

__all__ = ["ASYNC_ITERATOR", "BLOCKING_ITERATOR", "Refused"]


@final
class Refused:
    """
    A method that says what to write, in a class that has none of that name.

    Type checkers are not to see it: their own errors come before the program runs. A
    context manager has None as the method by which it is left, so that `isinstance`
    takes nothing for a context manager that is none.

    Args:
        used: What people wrote.
        written: How to write it.
    """

    def __init__(self, used: str, written: str) -> None:
        self._used = used
        self._written = written

    def __call__(self, *_: Any) -> NoReturn:
        raise AsyncMismatchError(self._used, self._written)


ASYNC_ITERATOR: Final = Refused("for", "async for")
"""The ``__iter__`` of iterators that are async."""

BLOCKING_ITERATOR: Final = Refused("async for", "for")
"""The ``__aiter__`` of iterators that block."""
