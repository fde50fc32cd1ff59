"""
A server that fails, a proxy that cuts, and what goes to them and comes back.

`Server` is a small server of our wire that counts the calls it gets. `Proxy`
stands between it and a client, and cuts a connection at one exact byte. Both live
in the test's own event loop.
"""

from __future__ import annotations

from support.http._answers import (
    RESTATE_DISPOSED,
    failure,
    http_answer,
    page,
    raw_answer,
)
from support.http._calls import (
    dead_url,
    eventually,
    keep_error,
    known,
    make,
    settles,
    together,
)
from support.http._proxy import Proxy
from support.http._responses import CHUNKED, CONTINUE, EARLY, NULL, OK, read
from support.http._scripted import BEGUN, ScriptedStream
from support.http._server import Server
from support.http._waits import DONE, has_waiters, keep, keep_in, met, waiting

__all__ = [
    "BEGUN",
    "CHUNKED",
    "CONTINUE",
    "DONE",
    "EARLY",
    "NULL",
    "OK",
    "RESTATE_DISPOSED",
    "Proxy",
    "ScriptedStream",
    "Server",
    "dead_url",
    "eventually",
    "failure",
    "has_waiters",
    "http_answer",
    "keep",
    "keep_error",
    "keep_in",
    "known",
    "make",
    "met",
    "page",
    "raw_answer",
    "read",
    "settles",
    "together",
    "waiting",
]
