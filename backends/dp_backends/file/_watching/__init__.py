"""
Waits for promises in directories.

============ ==========================================================
``_watch``   all waits of an event loop, and the one of them that leads
``_entries`` a promise with those who wait for it
``_looking`` looks at promises most of which are as they were
``_net``     which directories have changed, whatever the kernel has reported
============ ==========================================================
"""

from dp_backends.file._watching._entries import WatchStats
from dp_backends.file._watching._watch import WATCHERS, Watcher

__all__ = ["WATCHERS", "WatchStats", "Watcher"]
