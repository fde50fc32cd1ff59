"""`FakeSession`: a session whose database is a dict, and whose failures are ordered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from dp_backends.sql._rows import Change, PromiseRow, absent
from dp_backends.sql._sessions import Failure, Session
from dp_core import BackendUnavailableError
from dp_core.backend import now

__all__ = ["Database", "FakeSession", "failure"]


def failure(text: str = "no", **how: bool) -> Failure:
    """Return a failure, which means what *how* says."""
    return Failure(BackendUnavailableError(text), **how)


class Database:
    """
    Rows, and what happens to those who use them.

    Attributes:
        rows: The rows that were committed.
        log: The operations, by their names, in their order.
        on: What is called before an operation, by its name; once, and then no more.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, PromiseRow] = {}
        self.log: list[str] = []
        self.on: dict[str, list[Callable[[], object]]] = {}
        self.threads: set[int] = set()

    def connect(self, closing: threading.Event) -> FakeSession:
        """Return a session."""
        self.happens("connect")
        return FakeSession(self)

    def happens(self, name: str) -> None:
        """Note an operation; raise what was ordered for it."""
        self.log.append(name)
        self.threads.add(threading.get_ident())
        if waiting := self.on.get(name):
            waiting.pop(0)()

    def fails(self, name: str, *errors: Failure) -> None:
        """Let the next operations of a name fail, one after another."""

        def fail(error: Failure) -> Callable[[], object]:
            def call() -> object:
                raise error

            return call

        self.on.setdefault(name, []).extend(fail(error) for error in errors)

    def calls(self, name: str, call: Callable[[], object]) -> None:
        """Call something before the next operation of a name."""
        self.on.setdefault(name, []).append(call)


class FakeSession(Session):
    """A session of a `Database`."""

    closes_at_fork = True

    def __init__(self, database: Database) -> None:
        self.database = database
        self._mine: dict[bytes, PromiseRow] | None = None

    def read(self, ids: Collection[bytes]) -> tuple[datetime, dict[bytes, PromiseRow]]:
        self.database.happens("read")
        rows = {**self.database.rows, **(self._mine or {})}
        return now(), {id: rows.get(id) or absent(id) for id in ids}

    def begin(self) -> None:
        self.database.happens("begin")
        self._mine = {}

    def write(self, changes: Sequence[Change]) -> dict[bytes, PromiseRow]:
        self.database.happens("write")
        assert self._mine is not None
        written: dict[bytes, PromiseRow] = {}
        for before, after in changes:
            stands = {**self.database.rows, **self._mine}.get(after.id)
            if (stands.version if stands else 0) == before.version:
                number = len(self.database.log)
                filled: dict[str, Any] = {"change": number}
                if after.place is None:
                    filled["place"] = number
                if after.generation is None:
                    filled["generation"] = number
                written[after.id] = after._replace(**filled)
        self._mine.update(written)
        return written

    def commit(self) -> None:
        self.database.happens("commit")
        self.database.rows.update(self._mine or {})
        self._mine = None

    def rollback(self) -> None:
        self.database.happens("rollback")
        self._mine = None

    def make_durable(self, rows: Collection[PromiseRow]) -> None:
        self.database.happens("make_durable")

    def ring(self) -> None:
        self.database.happens("ring")

    def close(self) -> None:
        self.database.happens("close")
