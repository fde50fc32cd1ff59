"""
Waits for promises in a database.

================= ==========================================================
``_watcher``      all waits of an event loop, and the one of them that leads
``_waiters``      who waits for a promise, and for which generation of it
``_pace``         when to look at promises, and when to ask which have changed
``_news``         those that have changed, with their rows
``_listener``     how they hear that something has changed
``_waited_store`` a store as its waits use it
================= ==========================================================
"""

from dp_backends.sql._waits._listener import Heard, Listener
from dp_backends.sql._waits._waited_store import AskForChanges, Changes, Store
from dp_backends.sql._waits._watcher import LoopWatcher

__all__ = ["AskForChanges", "Changes", "Heard", "Listener", "LoopWatcher", "Store"]
