"""`Call`: all that may be asked of a server; those about one promise are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, Union, final

from dp_core._states import Outcome
from dp_core._terms import Terms
from dp_core.wire._queries import List
from dp_core.wire._watch import WatchCall

__all__ = [
    "CHANGES",
    "Call",
    "Create",
    "Dispose",
    "Info",
    "Peek",
    "PromiseCall",
    "Settle",
    "Wait",
]


@final
@dataclass(frozen=True, slots=True)
class Peek:
    """Ask for the state of a promise."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Wait:
    """Ask for the outcome of a promise, as soon as there is one."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Settle:
    """Settle a promise, unless it is settled already."""

    id: str
    outcome: Outcome[bytes]


@final
@dataclass(frozen=True, slots=True)
class Dispose:
    """Dispose of a promise."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Create:
    """Give a promise its terms, unless it has some already."""

    id: str
    terms: Terms[bytes]


@final
@dataclass(frozen=True, slots=True)
class Info:
    """Ask for all that is known about a promise."""

    id: str


CHANGES: Final = (Settle, Dispose, Create)
"""Calls that may have taken effect although no answer came."""

PromiseCall: TypeAlias = Union[Peek, Wait, Settle, Dispose, Create, Info]
"""Calls about one promise, which have its ``id``."""

Call: TypeAlias = Union[PromiseCall, List, WatchCall]
