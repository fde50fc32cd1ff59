"""
Waits for promises in directories.

============= =========================================================
``_watch``    all waits of an event loop, and the one of them that leads
``_entries``  a promise with those who wait for it
``_handles``  the handles by which they wait, whose ends end their waits
``_schedule`` which promises are to be looked at when
``_looking``  looks at promises most of which are as they were
``_reports``  changes in directories, as the kernel tells them
``_net``      which directories have changed, whatever the kernel has reported
============= =========================================================
"""

from dp_backends.file._watching._entries import WatchStats
from dp_backends.file._watching._watch import WATCHERS, Watcher

__all__ = ["WATCHERS", "WatchStats", "Watcher"]
