"""
Waits for promises in a database.

================= ==========================================================
``_watcher``      all waits of an event loop, and the one of them that leads
``_listener``     how they hear that something has changed
``_waited_store`` a store as its waits use it
================= ==========================================================
"""

from dp_backends.sql._waits._listener import Heard, Listener
from dp_backends.sql._waits._waited_store import AskForChanges, Changes, Store
from dp_backends.sql._waits._watcher import LoopWatcher

__all__ = ["AskForChanges", "Changes", "Heard", "Listener", "LoopWatcher", "Store"]
