"""
HttpWaits: a few by long polls of their own, and as many as there are on event streams.

================= ====================================================
``_long_polls``   requests that are held, one a promise
``_long_poll``    one of them
``_stream_gate``  the gate, where callers gather for a stream
``_stream``       one event stream, and who waits on it
``_event_source`` the events of one response
``_interest``     who waits, for what
``_waits``        which of them a wait takes, and watches
================= ====================================================
"""

from dp_backends.http._waits._event_source import EventSource, NotAStreamError
from dp_backends.http._waits._waits import HttpWaits

__all__ = ["EventSource", "HttpWaits", "NotAStreamError"]
