"""
`mutated`: an SQLite store with one mistake.

Each mutant is a function that returns the changes which make the mistake. Its docstring
says what the mistake is. `support.sqlite.child` makes it in the processes that are
killed. `tests/mutants/sqlite/test_mutants.py` says which proof catches which mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any, Final, TypeAlias
from unittest.mock import patch

__all__ = ["MUTANTS", "Change", "load_mutants", "mutant", "mutated"]

Change: TypeAlias = tuple[object, str, Any]
"""An owner, the name of one of its attributes, and the value that replaces it."""

MUTANTS: Final[dict[str, Callable[[], list[Change]]]] = {}
"""The mutants by their names, once they are loaded."""


def mutant(changes: Callable[[], list[Change]]) -> Callable[[], list[Change]]:
    """Register a function that returns the changes of a mutant."""
    MUTANTS[changes.__name__.replace("_", "-")] = changes
    return changes


def load_mutants() -> dict[str, Callable[[], list[Change]]]:
    """Load every mutant, and return them by their names."""
    import_module("mutants.sqlite.mistakes")
    return MUTANTS


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Make the mistake of that name in this process; none without one."""
    with ExitStack() as stack:
        for owner, attribute, value in load_mutants()[name]() if name else ():
            stack.enter_context(patch.object(owner, attribute, value))
        yield
