"""
Observing: what happens, for whoever runs the server.

=============== ===========================================================
``_notices``    lines of the log, one a cause and minute
``_access_log`` a line for each request, where that is asked for
``_meter``      counts and times, for Prometheus
``_served``     requests, reported to observers
=============== ===========================================================
"""

from dp_core.server._observing._access_log import SUB, AccessLog
from dp_core.server._observing._meter import Gauges, Meter
from dp_core.server._observing._notices import Notices
from dp_core.server._observing._served import ServedRequest

__all__ = ["SUB", "AccessLog", "Gauges", "Meter", "Notices", "ServedRequest"]
