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
                                           "data", "notify"}``
``GET /promises/{id}``                     ours alone: what is known of it
``GET /promises?state=&tag=&prefix=…``     ours alone: what a store holds
``POST /watch``, ``GET /watch?promiseId=`` ours alone: ``{"promiseIds"}``, answered by
                                           an event stream
``POST /batch``                            ours alone: ``[{"op", "promiseId",
                                           …}, …]``, calls that are answered
                                           each as it would have been alone
========================================== ================================

An answer is ``null`` (pending), ``{"value": …}``, ``{"error": …}``, or nothing
at all after ``dispose``; a failure is ``{"code", "message"}``, with the name of
our error as ``"type"``. A missing value means null. Whatever else comes back was not
said by a server of promises.

============ =====================================================================
``_calls``   calls about one promise, in the first three forms
``_answers`` their answers; ``_failures`` those that say why there is none
``_terms``   terms and infos, as create and info have them
``_queries`` the query of a list, and its page
``_batch``   several calls in one request
``_watch``   questions for many outcomes; ``_event_stream`` has the answer
``_prefer``  how long to wait for one
============ =====================================================================
"""

from dp_core._public import publish
from dp_core.wire._answers import Answer, read_answer, write_answer
from dp_core.wire._batch import (
    BATCH_PATH,
    MAX_BATCH_ANSWER_BYTES,
    MAX_BATCH_CALLS,
    BatchedCall,
    max_batch_bytes,
    read_batch,
    read_batch_answer,
    write_batch,
    write_batch_answer,
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
    no_operation,
    read_call,
    read_get,
    read_settle,
    write_call,
    write_settle,
)
from dp_core.wire._event_stream import (
    EVENT_STREAM,
    Comment,
    Event,
    EventDecoder,
    Notification,
    write_comment,
    write_event,
)
from dp_core.wire._failures import (
    DISPOSED_MESSAGE,
    TRANSIENT,
    TURNED_AWAY,
    is_failure,
    lacks_endpoint,
    write_error,
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
from dp_core.wire._watch import (
    MAX_WATCH_BYTES,
    MAX_WATCHED,
    MAX_WATCHED_BY_GET,
    WATCH_PATH,
    WatchCall,
    read_watch,
    read_watch_query,
    write_watch,
    write_watch_query,
)

__all__ = [
    "BATCH_PATH",
    "CHANGES",
    "DISPOSED_MESSAGE",
    "ENVELOPE_BYTES",
    "EVENT_STREAM",
    "MAX_BATCH_ANSWER_BYTES",
    "MAX_BATCH_CALLS",
    "MAX_LIMIT",
    "MAX_WATCHED",
    "MAX_WATCHED_BY_GET",
    "MAX_WATCH_BYTES",
    "TRANSIENT",
    "TURNED_AWAY",
    "WATCH_PATH",
    "Answer",
    "BatchedCall",
    "Call",
    "Comment",
    "Create",
    "Dispose",
    "Event",
    "EventDecoder",
    "Info",
    "List",
    "Notification",
    "Peek",
    "PromiseCall",
    "Settle",
    "Wait",
    "WatchCall",
    "is_failure",
    "lacks_endpoint",
    "max_batch_bytes",
    "no_operation",
    "prefer_wait",
    "read_answer",
    "read_batch",
    "read_batch_answer",
    "read_call",
    "read_get",
    "read_info",
    "read_moment",
    "read_prefer",
    "read_settle",
    "read_terms",
    "read_watch",
    "read_watch_query",
    "write_answer",
    "write_asked",
    "write_batch",
    "write_batch_answer",
    "write_call",
    "write_comment",
    "write_error",
    "write_event",
    "write_info",
    "write_moment",
    "write_page",
    "write_settle",
    "write_terms",
    "write_watch",
    "write_watch_query",
]

publish(__name__, __all__)
