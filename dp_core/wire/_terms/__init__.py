"""
Terms and infos as JSON, as create and info have them.

============== ==========================================================
``_terms``     what a promise is created with
``_callbacks`` who is told, in these
``_infos``     what is known about a promise
``_outcomes``  outcomes, in both
``_moments``   moments, as RFC 3339 has them
``_objects``   objects by their members
============== ==========================================================
"""

from dp_core.wire._terms._infos import read_info, write_info
from dp_core.wire._terms._moments import read_moment, write_moment
from dp_core.wire._terms._objects import split
from dp_core.wire._terms._outcomes import write_outcome
from dp_core.wire._terms._terms import (
    ASKED,
    asked_terms,
    read_terms,
    write_asked,
    write_terms,
)

__all__ = [
    "ASKED",
    "asked_terms",
    "read_info",
    "read_moment",
    "read_terms",
    "split",
    "write_asked",
    "write_info",
    "write_moment",
    "write_outcome",
    "write_terms",
]
