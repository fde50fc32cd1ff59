"""
Calls to the server, and what is answered.

================ ===========================================================
``_wire_client`` one attempt: sent, answered, understood
``_calls``       calls, repeated while that is safe
``_batches``     calls that come together, in one request
``_requests``    calls as HTTP requests, with the token
``_reporting``   for whom a request is sent, as observers are told
================ ===========================================================
"""

from dp_backends.http._calling._calls import Calls
from dp_backends.http._calling._reporting import SentFor
from dp_backends.http._calling._wire_client import WireClient

__all__ = ["Calls", "SentFor", "WireClient"]
