"""
`Recorder`: the observer that turns operations into events for the journal.

It runs in the notebook and in each of its processes, so that the code in the cells
stays what one would write in a script.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, final

from dp_core._observation import Finished, OperationName, Started
from dp_core._states import SETTLED, Outcome, Resolved, State
from dp_core._terms import Terms
from dp_core._text import shortened, visible
from dp_core.notebook._journal import JournalEvent, Kind, PromiseKey
from dp_core.notebook.pictures import preview, style_of
from dp_core.values import say_the_same
from dp_core.wire import write_moment

__all__ = ["Recorder", "what_is_known"]

_TEXT_LIMIT: Final = 400

_BEGINS: Final[Mapping[OperationName, Kind]] = {
    "get": "awaiting",
    "resolve": "settling",
    "reject": "settling",
}


@final
class Recorder:
    """
    Observer that reports the operations of one process.

    What a server does for a client is reported by the client: here it would be a second
    promise, of another store, with the same events.

    Args:
        process: The process's name.
        report: Called with each event, in the thread of the operation.
    """

    def __init__(self, process: str, report: Callable[[JournalEvent], object]) -> None:
        self._process = process
        self._report = report
        self._known: dict[PromiseKey, JournalEvent] = {}
        self._served: set[int] = set()

    def last_known(self, key: PromiseKey) -> JournalEvent | None:
        """Return the last event of this process that has a promise's state."""
        return self._known.get(key)

    def started(self, event: Started) -> None:
        """Report that a wait or a settle begins."""
        if event.served:
            self._served.add(event.number)
        elif event.operation in _BEGINS:
            self._report(self._event(event, _BEGINS[event.operation]))

    def finished(self, event: Finished) -> None:
        """Report how an operation ended."""
        if event.number in self._served:
            self._served.discard(event.number)
            return
        end = _END.get(event.operation)
        kind = end and end(event)
        if kind is None:
            return
        found = replace(
            self._event(event, kind),
            **what_is_known(event.state, event.terms, expired=event.expired),
        )
        if found.state:
            self._known[found.key] = found
        self._report(found)

    def _event(self, about: Started | Finished, kind: Kind) -> JournalEvent:
        return JournalEvent(self._process, os.getpid(), kind, about.id, about.url)


def what_is_known(
    state: State[bytes] | None, terms: Terms[bytes] | None, *, expired: bool = False
) -> dict[str, Any]:
    """Return what a store reported as the members of a `JournalEvent`."""
    known: dict[str, Any] = {"expired": expired}
    if state is not None:
        known["state"] = style_of(state).word
        known["text"] = preview(state, _TEXT_LIMIT)
        known["by"] = getattr(state, "by", None) or ""
    if terms is not None:
        tags = ", ".join(f"{key}={value}" for key, value in terms.tags.items())
        known["tags"] = shortened(visible(tags), _TEXT_LIMIT)
        if terms.deadline is not None:
            known["deadline"] = write_moment(terms.deadline)
    return known


def _after_peek(event: Finished) -> Kind | None:
    return "peeked" if event.state is not None else None


def _after_get(event: Finished) -> Kind:
    return "got" if isinstance(event.state, SETTLED) else "left"


def _after_settle(event: Finished) -> Kind:
    if event.asked is None or not isinstance(event.state, SETTLED):
        return "failed"
    return "won" if _same(event.asked, event.state) else "refused"


def _after_dispose(event: Finished) -> Kind | None:
    return "disposed" if event.error is None else None


def _after_create(event: Finished) -> Kind | None:
    return "created" if event.error is None else None


_END: Final[Mapping[OperationName, Callable[[Finished], Kind | None]]] = {
    "peek": _after_peek,
    "get": _after_get,
    "resolve": _after_settle,
    "reject": _after_settle,
    "dispose": _after_dispose,
    "create": _after_create,
    "info": _after_peek,
}
"""The journal is about promises: it has nothing of ``list`` and ``prune``."""


def _same(one: Outcome[bytes], other: Outcome[bytes]) -> bool:
    """Tell whether two outcomes mean the same, however their JSON is spaced."""
    match one, other:
        case Resolved(text), Resolved(other_text):
            return say_the_same(text, other_text)
        case _:
            return one == other
