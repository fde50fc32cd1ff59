"""
Callbacks: requests that tell other systems of promises that are settled.

============== ============================================================
``_callbacks`` `Callbacks`: from unfinished deliveries to finished ones
``_finding``   deliveries that others have made in the store
``_watches``   the promises that are waited for
``_jobs``      unfinished deliveries, as far as this server knows them
``_queue``     which delivery is due, a few of a receiver at a time
``_shares``    how many attempts at once, by what is known of receivers
``_rules``     which deliveries count, and what follows from an answer; pure
``_attempts``  signed requests, and lines of the log for those that failed
``_sending``   requests, by httpcore2
``_addresses`` which hosts and addresses may be called
``_signing``   signatures, and the keys of receivers
============== ============================================================
"""

from dp_core.server._callbacks._addresses import AllowedHosts
from dp_core.server._callbacks._callbacks import Callbacks

__all__ = ["AllowedHosts", "Callbacks"]
