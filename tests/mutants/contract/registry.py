"""
`MUTANTS`: backends that are wrong on purpose, to test the conformance kit.

Every mutant is a right backend with one mistake that people make. Its docstring
describes the mistake, and `Mutant.seen` names where it was made before: the
system by name where there is a public record of it, else the kind of system.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from typing import Final, TypeVar, final

from dp_core.testing import Outage
from mutants.contract.right import Right

__all__ = ["MUTANTS", "SUBJECTS", "Mutant", "load", "mutant"]

Kind = TypeVar("Kind", bound=type[Right])

SUBJECTS: Final = (
    "cancelling",
    "closing",
    "disposal",
    "handles",
    "ids",
    "outages",
    "reading",
    "settling",
    "values",
    "waiting",
    "watching",
    "with_terms.deadlines",
    "with_terms.listing",
    "with_terms.terms",
)
"""The modules of the folder ``subjects`` that define mutants."""


@final
@dataclass(frozen=True, slots=True)
class Mutant:
    """
    A wrong backend, and the law that catches it.

    Attributes:
        backend: The class.
        law: The name of the law that catches it.
        seen: Where the mistake was made before.
        alone: Whether no other law catches it.
    """

    backend: type[Right]
    law: str
    seen: str
    alone: bool

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.backend.__name__

    @property
    def mistake(self) -> str:
        """The description of the mistake, on one line."""
        return " ".join((getdoc(self.backend) or "").split())

    def store(self) -> tuple[Callable[[], Right], Outage]:
        """Return functions that open handles on one new store, and make it fail."""
        store = self.backend.store_type()
        return lambda: self.backend(store), store.outage


MUTANTS: Final[dict[str, Mutant]] = {}
"""``{name: mutant}``; filled by `load`."""


def mutant(law: str, seen: str, *, alone: bool = False) -> Callable[[Kind], Kind]:
    """Register a class as a mutant; the arguments are those of `Mutant`."""

    def register(backend: Kind) -> Kind:
        MUTANTS[backend.__name__] = Mutant(backend, law, seen, alone)
        return backend

    return register


def load() -> None:
    """Import every module of mutants, which fills `MUTANTS`."""
    for subject in SUBJECTS:
        import_module(f"mutants.contract.subjects.{subject}")
