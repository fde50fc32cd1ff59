"""
A process that settles, disposes of and looks at a few promises, at random.

``python -m support.file.random_load ROOT SEED OPERATIONS``: says "ready", waits
for a line, and at last prints all that it was told, as JSON. ``DP_MUTANT``
names a mistake to make (`mutants.file.registry`).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from random import Random
from typing import Final

from dp_backends.file._store import FileStore
from dp_core import DurablePromiseError, Outcome, Pending, Resolved, State
from mutants.file.registry import mutated

__all__ = ["IDS", "Seen"]

IDS: Final = ("a", "b", "c")


@dataclass(frozen=True)
class Seen:
    """
    The answer that a process got from one operation.

    Attributes:
        do: ``look``, ``settle``, ``dispose`` or ``error``.
        id: The promise's id.
        generation: Its generation, where that was told.
        text: The value, or the error; None if pending.
        own: The value that was proposed.
    """

    do: str
    id: str
    generation: str | None = None
    text: str | None = None
    own: str | None = None


def _text(state: State[bytes] | Outcome[bytes]) -> str | None:
    if isinstance(state, Pending):
        return None
    assert isinstance(state, Resolved)
    return state.value.decode()


def _one(store: FileStore, random: Random, id: str, own: str) -> Seen:
    match random.choice("llllssssd"):
        case "l":
            view = store.look(id)
            return Seen("look", id, view.generation, _text(view.state))
        case "s":
            outcome = store.settle(id, Resolved(own.encode()))
            return Seen("settle", id, text=_text(outcome), own=own)
        case _:
            store.dispose(id)
            return Seen("dispose", id)


def main(root: str, seed: str, operations: str) -> None:
    """Do as many operations, and print what they told."""
    random = Random(seed)
    store = FileStore(root)
    store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    seen = []
    for number in range(int(operations)):
        id = random.choice(IDS)
        try:
            seen.append(_one(store, random, id, f"{os.getpid()}{number:05}"))
        except DurablePromiseError as error:
            seen.append(Seen("error", id, text=f"{type(error).__name__}: {error}"))
    print(json.dumps([asdict(entry) for entry in seen]))


if __name__ == "__main__":
    with mutated(os.environ.get("DP_MUTANT")):
        main(*sys.argv[1:])
