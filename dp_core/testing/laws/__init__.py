"""`LAWS`: all laws of the backend contract, one module a subject."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dp_core.testing.kit import Law
from dp_core.testing.laws import (
    cancelling,
    disposal,
    handles,
    histories,
    ids,
    settling,
    values,
    waiting,
    watching,
)
from dp_core.testing.laws.registry import deadlines, listing, terms

__all__ = ["LAWS"]

_SUBJECTS: Final = (
    cancelling,
    deadlines,
    disposal,
    handles,
    histories,
    ids,
    listing,
    settling,
    terms,
    values,
    waiting,
    watching,
)

LAWS: Final[Mapping[str, Law]] = MappingProxyType(
    {
        law.name: law
        for law in sorted(
            (
                value
                for subject in _SUBJECTS
                for value in vars(subject).values()
                if isinstance(value, Law)
            ),
            key=lambda law: law.name,
        )
    }
)
"""``{name: law}``, sorted by name."""
