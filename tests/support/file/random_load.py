"""
A process that settles, disposes of and looks at a few promises, at random.

``python -m support.file.random_load ROOT SEED OPERATIONS [terms]``: says "ready", waits
for a line, and at last prints all that it was told, as JSON. With ``terms`` it also
creates them, most with deadlines that are over or will be soon. ``DP_MUTANT`` names a
mistake to make (`mutants.file.registry`).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from dp_backends.file._store import FileStore
from dp_core import DurablePromiseError, Outcome, Pending, Resolved, State, Terms
from dp_core.backend import now
from mutants.file.registry import mutated

__all__ = ["IDS", "Seen", "main"]

IDS: Final = ("a", "b", "c")
OVER: Final = datetime(2001, 1, 1, tzinfo=UTC)
FAR: Final = datetime(2999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """
    The answer that a process got from one operation.

    Attributes:
        do: ``look``, ``settle``, ``create``, ``dispose`` or ``error``.
        id: The promise's id.
        generation: Its generation, where that was told.
        text: The value, or the error; None if pending.
        own: The value that was proposed.
        terms: Those that stand, where they were told: when the deadline is, what it
            settles to, and the value of the one who created it.
        expired: Whether the deadline settled it.
        began: When the operation began, as all moments in seconds.
        ended: When it had ended.
    """

    do: str
    id: str
    generation: str | None = None
    text: str | None = None
    own: str | None = None
    terms: tuple[float | None, str | None, str] | None = None
    expired: bool = False
    began: float = 0.0
    ended: float = 0.0


def _text(state: State[bytes] | Outcome[bytes]) -> str | None:
    if isinstance(state, Pending):
        return None
    assert isinstance(state, Resolved)
    return state.value.decode()


OUTCOMES: Final = "llllssssd"
TERMS: Final = "lllsscccd"


def _one(store: Any, random: Random, id: str, own: str, choices: str) -> Seen:
    match random.choice(choices):
        case "l":
            view = store.look_at(store.place(id), whole=choices is TERMS)
            return Seen(
                "look",
                id,
                view.generation,
                _text(view.state),
                terms=_told(view.terms),
                expired=view.settled is not None and view.settled.expired,
            )
        case "c":
            stands = store.create(id, _asked(random, own))
            return Seen("create", id, own=own, terms=_told(stands))
        case "s":
            outcome = store.settle(id, Resolved(own.encode()))
            return Seen("settle", id, text=_text(outcome), own=own)
        case _:
            store.dispose(id)
            return Seen("dispose", id)


def _asked(random: Random, own: str) -> Terms[bytes]:
    soon = timedelta(milliseconds=random.uniform(0, 10))
    deadline = random.choice((None, OVER, FAR, now() + soon, now() + soon))
    otherwise = None if deadline is None else Resolved(own.encode())
    return Terms(deadline, otherwise, data=own.encode())


def _told(terms: Terms[bytes] | None) -> tuple[float | None, str | None, str] | None:
    if terms is None:
        return None
    deadline = terms.deadline and terms.deadline.timestamp()
    otherwise = None if terms.otherwise is None else _text(terms.otherwise)
    return deadline, otherwise, terms.data.decode()


def main(store: Any, seed: str, operations: str, what: str = "") -> None:
    """Do as many operations on a store, and print what they told."""
    random = Random(seed)
    store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    seen = []
    for number in range(int(operations)):
        id, own = random.choice(IDS), f"{os.getpid()}{number:05}"
        began = now().timestamp()
        try:
            one = _one(store, random, id, own, TERMS if what else OUTCOMES)
        except DurablePromiseError as error:
            one = Seen("error", id, text=f"{type(error).__name__}: {error}")
        seen.append(replace(one, began=began, ended=now().timestamp()))
    print(json.dumps([asdict(entry) for entry in seen]))


if __name__ == "__main__":
    with mutated(os.environ.get("DP_MUTANT")):
        main(FileStore(sys.argv[1]), *sys.argv[2:])
