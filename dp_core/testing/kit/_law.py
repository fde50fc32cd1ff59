"""`Law`: a name, what it demands, and a check that tries to break it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, final

from dp_core.testing.kit._context import LawContext
from dp_core.testing.kit._run import ConformanceRun

__all__ = ["Law", "LawCheck", "law"]

LawCheck: TypeAlias = Callable[[LawContext], Awaitable[None]]
"""Raises `LawBrokenError` where it breaks the law."""


_REASONS: Final = {
    "terms": "the store keeps no terms",
    "listing": "the store cannot be listed",
    "watch": "the backend has no `watch` of its own, or its store no streams",
    "outage": "nobody says how to make the store fail for a while",
    "own_process": "nobody says that this process is there for the laws alone",
}


@final
@dataclass(frozen=True, slots=True)
class Law:
    """
    One demand of the backend contract.

    Attributes:
        name: Its name, which never changes: reports show it, ``skip`` takes it.
        sentence: The demand, in one sentence.
        contract: The sentence of the backend contract that it spells out.
        check: Tries to break it.
        needs: What the law needs to apply: a store that is "durable" or "shared", that
            keeps "terms" or allows a "listing" (`dp_core.backend.Registry`), a backend
            that can "watch" (`dp_core.backend.Watchable`), an "outage" of the store, or
            that the process is the run's own ("own_process").
        method: How the check tries to break it, where that is not obvious.
    """

    name: str
    sentence: str
    contract: str
    check: LawCheck = field(repr=False)
    needs: frozenset[str] = frozenset()
    method: str = ""

    def unmet(self, run: ConformanceRun) -> str:
        """Return why the law does not apply, in words; empty if it does."""
        unmet = [need for need in sorted(self.needs) if not getattr(run, need)]
        for need, reason in _REASONS.items():
            if need in unmet:
                return f"{reason} ({need})"
        return f"the store is not said to be {' and '.join(unmet)}" if unmet else ""


def law(contract: str, *needs: str) -> Callable[[LawCheck], Law]:
    """
    Make a law of an async function, whose name is the name of the law.

    The first paragraph of its docstring is the sentence of the law, the rest is
    the method.

    Args:
        contract: The sentence of the contract that it spells out.
        *needs: What it needs to apply; see `Law.needs`.
    """

    def make(check: LawCheck) -> Law:
        name = check.__name__.replace("_", "-")
        text = inspect.getdoc(check) or name
        sentence, method = (
            " ".join(part.split()) for part in text.partition("\n\n")[::2]
        )
        return Law(name, sentence, contract, check, frozenset(needs), method)

    return make
