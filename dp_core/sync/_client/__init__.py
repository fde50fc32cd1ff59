"""
Handles on stores, blocking, and the ways to get one.

============= ========================================================
``_promises`` `Promises`, a handle on a store
``_connect``  `connect`, `durable_promise`: from a store URL to a handle
============= ========================================================
"""

from dp_core.sync._client._connect import connect, durable_promise
from dp_core.sync._client._promises import Promises

__all__ = ["Promises", "connect", "durable_promise"]
