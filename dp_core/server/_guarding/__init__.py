"""
`Guard`, which refuses requests by their headers, before any work is done.

================== ==============================================
``_guard``         the rules
``_bodies``        bodies within bounds of length and time
``_hosts``         the names by which the server may be called
``_origins``       the pages that may ask, as browsers name them
``_bearer``        the tokens that requests may carry
``_replaced_file`` a file of secrets, read again when it was replaced
``_permitted``     the table of rights: which call takes which
================== ==============================================
"""

from dp_core.server._guarding._bearer import bearer_token
from dp_core.server._guarding._bodies import Headers
from dp_core.server._guarding._guard import UNKNOWN_PAGE, ClientGoneError, Guard
from dp_core.server._guarding._hosts import Hosts
from dp_core.server._guarding._origins import written_origin
from dp_core.server._guarding._permitted import allows

__all__ = [
    "UNKNOWN_PAGE",
    "ClientGoneError",
    "Guard",
    "Headers",
    "Hosts",
    "allows",
    "bearer_token",
    "written_origin",
]
