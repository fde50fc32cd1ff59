"""
Listening: a process that serves, the HTTP server in it, and its sockets.

================ ===========================================================
``_run``         `serve`, until it is told to stop
``_http_server`` Granian, with bounds, and a stop that answers waits
``_listener``    an address where a server may listen
``_sockets``     sockets of this process, as its kernel lists them
================ ===========================================================
"""

from dp_core.server._listening._run import serve

__all__ = ["serve"]
