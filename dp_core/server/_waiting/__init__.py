"""
Requests that wait: for one promise, or for many as an event stream.

================= ===================================================
``_holding``      requests that are held, bounded
``_waits``        waits for one promise
``_streams``      event streams
``_changes``      event streams that say that a list may have changed
``_event_stream`` what both kinds have in common
================= ===================================================
"""

from dp_core.server._waiting._changes import Changes
from dp_core.server._waiting._holding import Places
from dp_core.server._waiting._streams import Streams
from dp_core.server._waiting._waits import Waits

__all__ = ["Changes", "Places", "Streams", "Waits"]
