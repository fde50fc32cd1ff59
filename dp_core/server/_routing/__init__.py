"""
From a request to the endpoint that answers it, and back to its response.

=============== ===========================================================
``_targets``    the path and the query of a request
``_endpoint``   `Endpoint`, a row of the table by which requests are routed
``_table``      `Endpoints`, the table
``_admitted``   `AdmittedRequest`, a request that was let in
``_response``   `Response`, and failures as responses
``_about``      `About`, what a row says of itself to a reader
``_describing`` the table as OpenAPI
=============== ===========================================================

The rows are in `dp_core.server._endpoints`.
"""

from dp_core.server._routing._about import About, DescribedResponse
from dp_core.server._routing._admitted import AdmittedRequest
from dp_core.server._routing._describing import about, openapi
from dp_core.server._routing._endpoint import JSON, Body, Endpoint
from dp_core.server._routing._response import (
    HEADERS,
    HEADERS_OF_STATUS,
    Header,
    Response,
    json_failure,
)
from dp_core.server._routing._table import Endpoints, Route
from dp_core.server._routing._targets import below, path_of

__all__ = [
    "HEADERS",
    "HEADERS_OF_STATUS",
    "JSON",
    "About",
    "AdmittedRequest",
    "Body",
    "DescribedResponse",
    "Endpoint",
    "Endpoints",
    "Header",
    "Response",
    "Route",
    "about",
    "below",
    "json_failure",
    "openapi",
    "path_of",
]
