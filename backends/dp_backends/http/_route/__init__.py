"""
The route to a server: names, addresses, TLS, and what is learned of it on the way.

============== ====================================================
``_resolver``  names, looked up in a thread that nobody waits for
``_addresses`` the first of several addresses that takes a connection
``_tls``       whom to trust, and why a handshake failed
``_slices``    how long a silent wait lives on the way
``_outage``    one question at a time while the server is away
============== ====================================================
"""

from dp_backends.http._route._addresses import Addresses
from dp_backends.http._route._outage import Outage, Turn
from dp_backends.http._route._slices import Slices
from dp_backends.http._route._tls import (
    NoTrustError,
    handshake_failed,
    make_context,
    refused_by_tls,
)

__all__ = [
    "Addresses",
    "NoTrustError",
    "Outage",
    "Slices",
    "Turn",
    "handshake_failed",
    "make_context",
    "refused_by_tls",
]
