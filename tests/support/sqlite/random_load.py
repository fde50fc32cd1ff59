"""
A process that settles, disposes of and looks at a few promises, at random.

The same as `support.file.random_load`, with an SQLite store, and without an event loop.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from threading import Event
from types import SimpleNamespace
from typing import Any

from dp_backends.sql._sessions import Failure
from dp_backends.sql._working import (
    CreateCall,
    DisposeCall,
    LookCall,
    RowCall,
    SettleCall,
)
from dp_backends.sql._working._batch import run_batch
from dp_backends.sql.sqlite._bell import Bell
from dp_backends.sql.sqlite._log import Log
from dp_backends.sql.sqlite._session import SqliteSession
from dp_core import Outcome, State, Terms
from mutants.sqlite.registry import mutated
from support.file.random_load import main

__all__ = ["SessionStore"]


@dataclass(frozen=True)
class RowView:
    """A look at a promise, as one of the file store."""

    generation: str
    state: State[bytes]
    terms: Terms[bytes] | None
    settled: Any


class SessionStore:
    """A store that does each operation at once, in the calling thread."""

    def __init__(self, path: str) -> None:
        self._session = SqliteSession(path, Log(path), Bell(path), Event())

    def open(self) -> None:
        """Do nothing: it is opened by its first operation."""

    def place(self, id: str) -> str:
        """Return where a promise is."""
        return id

    def _do(self, call: RowCall[Any]) -> Any:
        try:
            run_batch(self._session, [call], lambda _: None)
        except Failure as failure:
            raise failure.error from failure
        return call.outcome()

    def look_at(self, id: str, *, whole: bool) -> RowView:
        """Return all that is known of a promise."""
        row = self._do(LookCall(id.encode()))[id.encode()]
        settled = SimpleNamespace(expired=True) if row.expired else None
        return RowView(
            str(row.generation), row.promise_state(), row.promise_terms(), settled
        )

    def settle(self, id: str, outcome: Outcome[bytes]) -> Any:
        """Settle a promise."""
        return self._do(SettleCall(id.encode(), outcome))

    def create(self, id: str, terms: Terms[bytes]) -> Any:
        """Give a promise its terms."""
        return self._do(CreateCall(id.encode(), terms))

    def dispose(self, id: str) -> None:
        """Dispose of a promise."""
        self._do(DisposeCall(id.encode()))


if __name__ == "__main__":
    with mutated(os.environ.get("DP_MUTANT")):
        main(SessionStore(sys.argv[1]), *sys.argv[2:])
