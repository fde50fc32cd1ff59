"""
The description of the endpoints, from the table that routes.

=============== ===========================================================
``_schemas``    the forms of bodies, as JSON Schema
``_parameters`` members of queries, paths and heads
``_wire``       what is said of the rows of the wire
``_openapi``    `openapi`, the whole, as OpenAPI 3.1
=============== ===========================================================
"""

from dp_core.server._routing._describing import _wire as about
from dp_core.server._routing._describing._openapi import openapi

__all__ = ["about", "openapi"]
