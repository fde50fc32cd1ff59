"""A law as data: a name, a sentence, and what to do to see it broken."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, final

from dp_core.testing._lab import Lab, Run

__all__ = ["Check", "Law", "law", "unmet"]

Check: TypeAlias = Callable[[Lab], Awaitable[None]]


@final
@dataclass(frozen=True, slots=True)
class Law:
    """
    Something every conformant backend does.

    Attributes:
        name: Its name, for ever: what reports say and ``skip`` takes.
        sentence: What it demands.
        contract: The sentence of the backend contract that it spells out.
        check: Tries to break it.
        needs: What a store must promise for the law to apply: "durable",
            "shared", or both.
    """

    name: str
    sentence: str
    contract: str
    check: Check = field(repr=False)
    needs: frozenset[str] = frozenset()


def law(contract: str, *needs: str) -> Callable[[Check], Law]:
    """
    Make a law of an async function: its name and its docstring are the law's.

    Args:
        contract: The sentence of the contract that it spells out.
        *needs: What a store must promise for it to apply.
    """

    def make(check: Check) -> Law:
        name = check.__name__.replace("_", "-")
        sentence = " ".join((inspect.getdoc(check) or name).split())
        return Law(name, sentence, contract, check, frozenset(needs))

    return make


def unmet(needs: Iterable[str], run: Run) -> str:
    """Return what of *needs* the store does not promise, in words."""
    return " and ".join(need for need in sorted(needs) if not getattr(run, need))
