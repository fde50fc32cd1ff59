"""
Worker threads of a handle, for stores whose work blocks.

============ ==============================================================
``_threads`` threads that work on calls, and are gone at rest
``_signal``  callers in event loops, each of which is told once for many
``_calls``   functions, called in such threads
============ ==============================================================
"""

from dp_backends._working._calls import Caller
from dp_backends._working._signal import Signal, wake_all
from dp_backends._working._threads import WorkerThreads

__all__ = ["Caller", "Signal", "WorkerThreads", "wake_all"]
