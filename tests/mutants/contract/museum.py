"""
The museum of broken backends.

Every exhibit is a right backend with one mistake that people make. Its
docstring says what the mistake is, ``seen`` where it was made before: the
system by name where there is a public record of it, else the kind of system.
The exhibit is caught by the law it names; where it is *alone*, by no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final, TypeVar

from mutants.contract.right import Right

__all__ = ["EXHIBITS", "Exhibit", "exhibit", "open_museum"]

Kind = TypeVar("Kind", bound=type[Right])


@dataclass(frozen=True, slots=True)
class Exhibit:
    """
    A broken backend.

    Attributes:
        backend: The class.
        law: The law that catches it.
        seen: Where the mistake was made before.
        alone: Whether no other law catches it.
    """

    backend: type[Right]
    law: str
    seen: str
    alone: bool

    @property
    def name(self) -> str:
        return self.backend.__name__

    def store(self) -> Callable[[], Right]:
        """Return what opens handles on a new store."""
        store = self.backend.store_type()
        return lambda: self.backend(store)


EXHIBITS: Final[dict[str, Exhibit]] = {}

SUBJECTS: Final = (
    "cancelling",
    "disposal",
    "handles",
    "ids",
    "reopening",
    "settling",
    "values",
    "waiting",
)
"""The modules beside this one that have exhibits."""


def exhibit(law: str, seen: str, *, alone: bool = False) -> Callable[[Kind], Kind]:
    """Put a class into the museum."""

    def put(backend: Kind) -> Kind:
        EXHIBITS[backend.__name__] = Exhibit(backend, law, seen, alone)
        return backend

    return put


def open_museum() -> None:
    """Load every exhibit."""
    for subject in SUBJECTS:
        import_module(f"mutants.contract.{subject}")
