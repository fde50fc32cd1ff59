"""
`mutated`: an SQLite store with one mistake.

Each mutant is a function that returns the changes which make the mistake. Its docstring
says what the mistake is. `support.sqlite.child` makes it in the processes that are
killed. `tests/mutants/sqlite/test_mutants.py` says which proof catches which mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from mutants.changes import Change, changed

__all__ = ["MUTANTS", "load_mutants", "mutant", "mutated"]

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
    with changed(load_mutants()[name]() if name else ()):
        yield
