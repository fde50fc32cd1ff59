"""
The contract between the library and the places where promises live.

Write a subclass of `Backend`, register it through
`dp_core.hookspecs.dp_register_backends`, and prove it with
`dp_core.testing`. The library's own backends come in by the same door.

The rest is what backends have in common. By `LeaderFollowers` and `LoopLocal`,
calls that come together share one look, one question, or one commit. By `Closable`
a handle ends its waits when it is closed, in other threads too (`call_soon`).
By a `signal` one task sleeps until another one calls `wake`.
Whoever keeps deadlines (`Registry`) asks `now` for the time and `expiry` for what
comes of it, keeps those that are waited for in `Deadlines`, and sleeps as a
`ClockWatcher`. Whoever waits for many promises asks `watch_all`, and backends that
do it as for one (`Watchable`) tell it through a `Watch`. `in_thread` calls what blocks,
also where no thread can be started or none is needed (`blocking_here`),
`in_thread_apart` what may never end, and `each_in_thread` what yields; `tasks_beside`
runs tasks that end with a block, and `ForeignThreads` waits for the threads of
libraries in other languages. Who can say how it is with the store (`Checkable`) tells
it by `Check`, and that of their clocks by `compare_clocks`. Who sends HTTP requests
reports them by `observe_request`, and sends along what observers ask for.
`check_id`, `quoted`, `without_password` and `token_from_environment` are the one place
where ids are checked, foreign text and URLs are made safe to show, and tokens are read;
`read_number` and `read_whole` read the numbers in a store URL.
"""

from dp_core._checks import Check, CheckStatus, compare_clocks
from dp_core._clock import ClockWatcher, now, watch_clock
from dp_core._ids import check_id
from dp_core._observed_requests import (
    ObservedRequest,
    observe_request,
    operation_under_way,
)
from dp_core._public import publish
from dp_core._terms import Page, expiry
from dp_core._text import quoted, read_number, read_whole, visible, without_password
from dp_core._tokens import TOKEN_ADVICE, token_from_environment
from dp_core.backend._beside import (
    ForeignThreads,
    blocking_here,
    each_in_thread,
    in_thread,
    in_thread_apart,
    tasks_beside,
)
from dp_core.backend._closable import Closable
from dp_core.backend._contract import (
    Backend,
    Checkable,
    Located,
    MadeOnUse,
    TimedBackend,
    Told,
    Watchable,
    WireBackend,
)
from dp_core.backend._deadlines import Deadlines
from dp_core.backend._leader import Follower, LeaderFollowers
from dp_core.backend._loop_local import LoopLocal, call_soon
from dp_core.backend._registry import PAGE_BYTES, Registry, size_of
from dp_core.backend._signal import Signal, signal, wake
from dp_core.backend._waiters import Waiters
from dp_core.backend._waiting import wait_or_peek
from dp_core.backend._watch import Watch, Watched, watch_all

__all__ = [
    "PAGE_BYTES",
    "TOKEN_ADVICE",
    "Backend",
    "Check",
    "CheckStatus",
    "Checkable",
    "ClockWatcher",
    "Closable",
    "Deadlines",
    "Follower",
    "ForeignThreads",
    "LeaderFollowers",
    "Located",
    "LoopLocal",
    "MadeOnUse",
    "ObservedRequest",
    "Page",
    "Registry",
    "Signal",
    "TimedBackend",
    "Told",
    "Waiters",
    "Watch",
    "Watchable",
    "Watched",
    "WireBackend",
    "blocking_here",
    "call_soon",
    "check_id",
    "compare_clocks",
    "each_in_thread",
    "expiry",
    "in_thread",
    "in_thread_apart",
    "now",
    "observe_request",
    "operation_under_way",
    "quoted",
    "read_number",
    "read_whole",
    "signal",
    "size_of",
    "tasks_beside",
    "token_from_environment",
    "visible",
    "wait_or_peek",
    "wake",
    "watch_all",
    "watch_clock",
    "without_password",
]

publish(__name__, __all__)
