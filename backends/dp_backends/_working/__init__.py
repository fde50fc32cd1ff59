"""
Work of a handle on a store whose calls block.

============== ============================================================
``_calls``     callers in event loops, each of which is told once for many
``_threads``   threads that work on calls, and are gone at rest
``_functions`` functions, called in such threads
``_rounds``    operations begun anew, while that has any effect
============== ============================================================
"""

from dp_backends._working._calls import WorkerCall, tell
from dp_backends._working._functions import Caller
from dp_backends._working._rounds import Rounds
from dp_backends._working._threads import WorkerThreads

__all__ = ["Caller", "Rounds", "WorkerCall", "WorkerThreads", "tell"]
