"""
Processes that use the engine of the file store itself, without an event loop.

Run by `dp_core.testing.crash.Lane`. Besides the public operations they can
``clean`` the shard of a promise, ``sweep``, and ``create`` one without a deadline.
``DP_MUTANT`` names a mistake to make
(`mutants.file.registry`).
"""

from __future__ import annotations

import json
import os
from typing import Any
from unittest.mock import patch

from dp_backends.file import _janitor
from dp_backends.file._registry import Sweeper
from dp_backends.file._store import FileStore
from dp_core import (
    DurablePromiseError,
    Outcome,
    Pending,
    Rejected,
    Resolved,
    State,
    Terms,
)
from dp_core.testing.crash import Acknowledge, Step, serve
from mutants.file.registry import mutated
from support.file.crash_setups import OVER


def perform(url: str, steps: list[Step], acknowledge: Acknowledge) -> None:
    """Perform the steps on the store of a ``file:`` URL."""
    store = FileStore(url.removeprefix("file:"))
    for step in steps:
        try:
            answer: State[Any] | None = _decoded(_do(store, step))
        except DurablePromiseError:
            if not step.may_fail:
                raise
            answer = None
        acknowledge(answer)


def _do(store: FileStore, step: Step) -> State[bytes] | Outcome[bytes]:
    match step.do:
        case "peek":
            return store.look(step.promise).state
        case "resolve":
            text = json.dumps(step.value).encode()
            return store.settle(step.promise, Resolved(text))
        case "reject":
            return store.settle(step.promise, Rejected(step.value))
        case "dispose":
            store.dispose(step.promise)
        case "create":
            store.create(step.promise, Terms(tags={"made by": "a child"}))
        case "expire":
            over = Resolved(json.dumps(step.value).encode())
            store.create(step.promise, Terms(OVER, over))
        case "sweep":
            Sweeper(store).sweep(10)
        case "clean":
            store.open()
            store.janitor.clean(store.place(step.promise).shard)
        case _:
            raise ValueError(step)
    return Pending()


def _decoded(state: State[bytes] | Outcome[bytes]) -> State[Any]:
    match state:
        case Resolved(text):
            return Resolved(json.loads(text))
        case Rejected() | Pending():
            return state
        case _:
            raise TypeError(state)


if __name__ == "__main__":
    with (
        mutated(os.environ.get("DP_MUTANT")),
        # Only when it is told to: a call to be killed at must be there each time.
        patch.object(_janitor, "_WRITES_PER_CLEANING", 1e99),
        patch.object(_janitor, "_DISPOSALS_PER_CLEANING", 1e99),
    ):
        serve(perform)
