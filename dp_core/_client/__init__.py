"""
Handles on stores, and the ways to get one.

================ ========================================================
``_promises``    `Promises`, a handle on a store
``_connect``     `connect`, `durable_promise`: from a store URL to a handle
``_asked_terms`` terms as a user asks for them, and whether those that stand are equal
``_listing``     the promises that a query finds, page by page
``_prune``       disposal of those that were settled long ago
``_link``        links by which a person can settle a promise
================ ========================================================
"""

from dp_core._client._asked_terms import Deadline, are_equal
from dp_core._client._connect import (
    DEFAULT_URL,
    StoreUrl,
    connect,
    default_url,
    durable_promise,
)
from dp_core._client._listing import Failure, FoundPromises
from dp_core._client._promises import Promises
from dp_core._client._prune import dispose_of_settled, moment_before

__all__ = [
    "DEFAULT_URL",
    "Deadline",
    "Failure",
    "FoundPromises",
    "Promises",
    "StoreUrl",
    "are_equal",
    "connect",
    "default_url",
    "dispose_of_settled",
    "durable_promise",
    "moment_before",
]
