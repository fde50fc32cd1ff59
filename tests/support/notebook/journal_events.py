"""Events of three processes around one promise, as the pictures draw them."""

from __future__ import annotations

from typing import Any, Final

from dp_core.notebook import JournalEvent
from dp_core.notebook._journal import Kind

__all__ = ["EVENTS", "STORE", "event"]

STORE: Final = "file:./promises"


def event(
    kind: Kind, process: str = "alice", at: float = 0, **more: Any
) -> JournalEvent:
    """Return an event, about the promise "id" if it is about one."""
    alone = kind in ("started", "killed", "ended", "stopped")
    about = {} if alone else {"id": "id", "store": STORE}
    return JournalEvent(process, ord(process[0]), kind, at=at, **{**about, **more})


EVENTS: Final = [
    event("started", at=0.0),
    event("started", "bob", at=0.1),
    event("started", "carol", at=0.2),
    event("peeked", at=0.5, state="pending"),
    event("awaiting", at=1.0),
    event("awaiting", "carol", at=1.1),
    event("killed", "carol", at=1.5),
    event("won", "bob", at=2.0, state="resolved", text='"hi"'),
    event("got", at=2.001, state="resolved", text='"hi"'),
    event("refused", at=3.0, state="resolved", text='"hi"'),
    event("started", "carol", at=4.0),
    event("awaiting", "carol", at=4.1),
    event("got", "carol", at=4.2, state="resolved", text='"hi"'),
]
