"""
Worker threads of a handle, for stores whose work blocks.

============== ============================================================
``_calls``     callers in event loops, each of which is told once for many
``_threads``   threads that work on calls, and are gone at rest
``_functions`` functions, called in such threads
============== ============================================================
"""

from dp_backends._working._calls import WorkerCall, tell
from dp_backends._working._functions import Caller
from dp_backends._working._threads import WorkerThreads

__all__ = ["Caller", "WorkerCall", "WorkerThreads", "tell"]
