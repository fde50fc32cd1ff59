"""Changes of parts of a program, by which mutants make their mistakes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias
from unittest.mock import patch

__all__ = ["Change", "changed", "changed_during"]

Change: TypeAlias = tuple[Any, str, Any]
"""An owner, the name of one of its attributes, and the value that replaces it."""


@contextmanager
def changed(changes: Iterable[Change]) -> Iterator[None]:
    """Make changes in this process, and undo them."""
    with ExitStack() as stack:
        for owner, attribute, value in changes:
            stack.enter_context(patch.object(owner, attribute, value))
        yield


def changed_during(outer: tuple[Any, str], change: Change) -> list[Change]:
    """
    Return the changes by which a function is another one during calls of a second.

    Only in the thread of such a call: what other threads call stays what it is, and
    calls that overlap do not undo each other's changes in the wrong order.

    Args:
        outer: Owner and name of the function during whose calls the change holds.
        change: The function that is another one meanwhile.
    """
    (owner, name), (inner_owner, inner_name, careless) = outer, change
    whole, careful = getattr(owner, name), getattr(inner_owner, inner_name)
    thread = threading.local()

    def during(*args: Any, **named: Any) -> Any:
        depth = getattr(thread, "depth", 0)
        thread.depth = depth + 1
        try:
            return whole(*args, **named)
        finally:
            thread.depth = depth

    def either(*args: Any, **named: Any) -> Any:
        call = careless if getattr(thread, "depth", 0) else careful
        return call(*args, **named)

    return [(owner, name, during), (inner_owner, inner_name, either)]
