"""
The wire of durable promises, without any I/O, in both directions.

The server reads calls and writes answers, a client writes calls and reads
answers, and neither knows a rule that is not here. The wire is that of
Restate's example "durable promises as a service", so that its clients work
with our server and ours with it.

========================================== ================================
``POST /promise/{operation}``              ``{"promiseId", "value" |
                                           "errorMessage"}``
``POST /promises/{id}/{operation}``        the value or message itself
``POST /durablePromiseServer/{operation}`` ``{"request": {"promiseName",
                                           "value" | "errorMessage"}}``
``POST /promise/create``, terms; ``info``  ours alone: ``{"promiseId",
                                           "deadline", "otherwise", "tags",
                                           "data"}``
``GET /promises/{id}``                     ours alone: what is known of it
``GET /promises?state=&tag=&prefix=…``     ours alone: what a store holds
========================================== ================================

An answer is ``null`` (pending), ``{"value": …}``, ``{"error": …}``, or nothing
at all after ``dispose``; a failure is ``{"code", "message"}``, with the name of
our error as ``"type"``. A missing value means null. Whatever else comes back was not
said by a server of promises.
"""

from dp_core._public import publish
from dp_core.wire._answers import (
    DISPOSED_MESSAGE,
    TRANSIENT,
    TURNED_AWAY,
    Answer,
    is_failure,
    read_answer,
    write_answer,
    write_error,
)
from dp_core.wire._calls import (
    CHANGES,
    ENVELOPE_BYTES,
    Call,
    Create,
    Dispose,
    Info,
    Peek,
    PromiseCall,
    Settle,
    Wait,
    read_call,
    read_get,
    read_settle,
    write_call,
    write_settle,
)
from dp_core.wire._prefer import prefer_wait, read_prefer
from dp_core.wire._queries import MAX_LIMIT, List, write_page
from dp_core.wire._terms import (
    read_info,
    read_moment,
    read_terms,
    write_asked,
    write_info,
    write_moment,
    write_terms,
)

__all__ = [
    "CHANGES",
    "DISPOSED_MESSAGE",
    "ENVELOPE_BYTES",
    "MAX_LIMIT",
    "TRANSIENT",
    "TURNED_AWAY",
    "Answer",
    "Call",
    "Create",
    "Dispose",
    "Info",
    "List",
    "Peek",
    "PromiseCall",
    "Settle",
    "Wait",
    "is_failure",
    "prefer_wait",
    "read_answer",
    "read_call",
    "read_get",
    "read_info",
    "read_moment",
    "read_prefer",
    "read_settle",
    "read_terms",
    "write_answer",
    "write_asked",
    "write_call",
    "write_error",
    "write_info",
    "write_moment",
    "write_page",
    "write_settle",
    "write_terms",
]

publish(__name__, __all__)
