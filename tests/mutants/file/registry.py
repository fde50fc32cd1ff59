"""
`Mutant`: a file store with one mistake that was made before, somewhere.

A mutant's docstring says what its mistake is, ``seen`` where it was made: the system
by name where there is a public record of it, else the kind of system. `mutated` makes
it in this process; `support.file.child` makes it in the processes that are killed.
`tests/mutants/file/test_mutants.py` says which proof catches which mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from mutants.changes import Change, changed

__all__ = ["MUTANTS", "Mutant", "load_mutants", "mutant", "mutated"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    A file store with a mistake.

    Attributes:
        changes: Returns the changes that make the mistake.
        seen: Where the mistake was made before.
    """

    changes: Callable[[], list[Change]]
    seen: str

    @property
    def name(self) -> str:
        return self.changes.__name__.replace("_", "-")

    @property
    def mistake(self) -> str:
        """The sentence that says what the mistake is."""
        return (self.changes.__doc__ or "").strip()


MUTANTS: Final[dict[str, Mutant]] = {}
"""The mutants by their names, once they are loaded."""

SUBJECTS: Final = ("errors", "protocol", "terms")
"""The modules beside this one that have mutants."""


def mutant(seen: str) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """Register a function that returns changes as a `Mutant`."""

    def register(changes: Callable[[], list[Change]]) -> Mutant:
        made = Mutant(changes, seen)
        MUTANTS[made.name] = made
        return made

    return register


def load_mutants() -> dict[str, Mutant]:
    """Load every mutant, and return them by their names."""
    for subject in SUBJECTS:
        import_module(f"mutants.file.{subject}")
    return MUTANTS


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Make the mistake of that name in this process; none without one."""
    with changed(load_mutants()[name].changes() if name else ()):
        yield
