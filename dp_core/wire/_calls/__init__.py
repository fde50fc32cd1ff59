"""
Calls, read from and written to requests.

============ =====================================================
``_calls``   all that may be asked, about one promise
``_reading`` requests, as the server reads them: which path is what
``_bodies``  their bodies, in three forms
``_writing`` requests, as a client writes them
============ =====================================================
"""

from dp_core.wire._calls._bodies import (
    ENVELOPE_BYTES,
    read_members,
    read_settle,
    split_body,
)
from dp_core.wire._calls._calls import (
    CHANGES,
    Call,
    Create,
    Dispose,
    Info,
    Peek,
    PromiseCall,
    Settle,
    Wait,
)
from dp_core.wire._calls._reading import no_operation, read_call, read_get
from dp_core.wire._calls._writing import write_call, write_settle

__all__ = [
    "CHANGES",
    "ENVELOPE_BYTES",
    "Call",
    "Create",
    "Dispose",
    "Info",
    "Peek",
    "PromiseCall",
    "Settle",
    "Wait",
    "no_operation",
    "read_call",
    "read_get",
    "read_members",
    "read_settle",
    "split_body",
    "write_call",
    "write_settle",
]
