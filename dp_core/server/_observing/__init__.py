"""
Observing: what happens, for whoever runs the server.

=============== ===========================================================
``_notices``    lines of the log, one a cause and minute
``_meter``      counts and times, for Prometheus
=============== ===========================================================
"""

from dp_core.server._observing._meter import Gauges, Meter
from dp_core.server._observing._notices import Notices

__all__ = ["Gauges", "Meter", "Notices"]
