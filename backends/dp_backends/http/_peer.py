"""
`Peer`, and `interpret`: what the server is known to be, and what it answers.

This is the one place that decides whether a response was said by a server of
promises, and what it means. The wire itself is in `dp_core.wire`; here is what HTTP,
and Restate as a server, add to it. There are three kinds of responses:

================== ====================================================
an answer          a state, or nothing, in exactly the wire's forms
a failure          ``{"code", "message"}``: the server says no
anything else      a gateway, or another program, has spoken
================== ====================================================

Anything else is an outage where the server had answered before: it is behind that
gateway, and will be again. From a peer that never answered it is an error that says
who spoke, and what to check.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, final

from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._route import Slices
from dp_backends.http._url import ServerUrl
from dp_core import (
    AccessDeniedError,
    BackendError,
    CorruptPromiseError,
    InvalidValueError,
    NotSupportedError,
    OutcomeUnknownError,
    Pending,
    ProtocolError,
)
from dp_core.backend import TOKEN_ADVICE, quoted
from dp_core.wire import (
    CHANGES,
    TRANSIENT,
    TURNED_AWAY,
    Call,
    Create,
    Dispose,
    Info,
    List,
    Settle,
    Wait,
    is_failure,
    read_answer,
)

__all__ = [
    "OWN_WORDS",
    "Peer",
    "interpret",
    "is_content",
    "is_failure_of",
    "not_http",
    "stranger",
]

OWN_WORDS: Final = (AccessDeniedError, CorruptPromiseError)
"""Errors that a server of promises says of a call that it could answer otherwise."""

_HOLD_SECONDS: Final = (25, 35)
"""Seconds to let a server hold a wait; proxies often cut at 60."""

# Restate ---------------------------------------------------------------------

_RESTATE_HEADER: Final = b"x-restate-id"
"""The field by which Restate names the invocation that answers."""

_RESTATE_HOLD_SECONDS: Final = (300, 600)
"""
Longer on Restate, where to begin a long poll costs a durable write.

A poll that is cut short goes on under the same Idempotency-Key.
"""


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """
    Knowledge of the server, from its responses so far.

    Attributes:
        answered: It has answered this handle, as only a server of promises does.
        honours_prefer: It ends a wait when the time that we prefer is over
            (RFC 7240 §4.3). The service of the reference does not, and holds
            the response until there is an outcome.
        done: Which of the calls that not every server can answer it has answered.
        is_restate: It is Restate.
        slices: How long a wait lives on the way to it.
        streams: Whether it is to be asked for event streams.
    """

    answered: bool = False
    honours_prefer: bool = False
    done: frozenset[type[Call]] = frozenset()
    is_restate: bool = False
    slices: Slices = field(default_factory=Slices)
    streams: bool = True

    @property
    def hold_seconds(self) -> tuple[int, int]:
        """The shortest and the longest time to let it hold a wait."""
        return self.slices.within(*self._most_seconds)

    @property
    def lost_seconds(self) -> float:
        """The age at which a wait counts as lost, however it is cut."""
        return self._most_seconds[1]

    @property
    def _most_seconds(self) -> tuple[int, int]:
        return _RESTATE_HOLD_SECONDS if self.is_restate else _HOLD_SECONDS

    @property
    def settles_in_path(self) -> bool:
        """Whether a settle names its promise in the path: see `write_call`."""
        return self.is_restate

    def after(self, call: Call, response: HttpResponse, answer: object) -> Peer:
        """Return what is known after a *response* whose *answer* was understood."""
        peer = self
        is_restate = _RESTATE_HEADER in response.headers
        # The answer to a dispose is empty: it says nothing of who gave it.
        if not peer.answered and (is_restate or not isinstance(call, Dispose)):
            peer = replace(peer, answered=True)
        in_time = isinstance(call, Wait) and isinstance(answer, Pending)
        if in_time and not peer.honours_prefer:
            peer = replace(peer, honours_prefer=True)
        if isinstance(call, _REGISTRY) and type(call) not in peer.done:
            peer = replace(peer, done=peer.done | {type(call)})
        if is_restate and not peer.is_restate:
            peer = replace(peer, is_restate=True)
        return peer


_REGISTRY: Final = (Create, Info, List)
"""Calls that not every server can answer."""


def interpret(
    url: ServerUrl,
    call: Call,
    response: HttpResponse,
    *,
    known: bool,
    could: bool = False,
) -> Any:
    """
    Return the answer to *call*: what `dp_core.wire.read_answer` returns.

    Args:
        url: Who was asked.
        call: What was asked.
        response: What came back.
        known: Whether the server has answered this handle before.
        could: Whether it has answered such a call before.

    Raises:
        AttemptFailed: The same call may succeed later.
        DurablePromiseError: It will not; the error says who answered.
    """
    status, body = response.status, response.body
    if not is_content(response):
        raise stranger(url, call, response, known=known)
    if 200 <= status < 300:
        try:
            return read_answer(call, status, body)
        except ProtocolError as error:
            raise stranger(url, call, response, error.reason, known=known) from None
    if not is_failure_of(call, response):
        raise stranger(url, call, response, known=known)
    try:
        return read_answer(call, status, body)
    except TRANSIENT as error:
        raise AttemptFailed(
            f"{url}: {error.reason}",
            sent=isinstance(error, OutcomeUnknownError),
            retry_after=_seconds(response),
            reached=True,
        ) from None
    except ProtocolError as error:
        if known and status == _NOT_FOUND:
            # It knew the operation before: Restate says so while it starts.
            raise AttemptFailed(f"{url}: {error.reason}", reached=True) from None
        raise ProtocolError(status, f"{url}: {error.reason}") from None
    except BackendError as error:
        lacks = isinstance(error, NotSupportedError) and status != _NOT_IMPLEMENTED
        if could and lacks:
            # It could before: a gateway says so, or a server that is replaced.
            raise AttemptFailed(f"{url}: {error.reason}", reached=True) from None
        raise type(error)(f"{url}: {error.reason}") from None


_NOT_FOUND: Final = 404
_NOT_IMPLEMENTED: Final = 501


def is_failure_of(call: Call, response: HttpResponse) -> bool:
    """Whether a server of promises has said that a call failed."""
    return is_content(response) and is_failure(call, response.status, response.body)


def is_content(response: HttpResponse) -> bool:
    """Whether a body is JSON by its type, or not there, and encoded by nobody."""
    headers = response.headers
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return False
    kind = headers.get(b"content-type")
    if kind is None:
        return not response.body
    return kind.partition(b";")[0].strip().lower() == b"application/json"


# Responses of strangers ------------------------------------------------------

_MAY_PASS: Final = (408, 425, 429)
"""Statuses below 500 that say that another attempt may succeed."""

_NOT_FORWARDED: Final = (*TURNED_AWAY, 401, 404, 405, 413, 414, 421, 431)
"""Statuses by which a gateway says that it did not pass the request on."""

_CHECK: Final = (
    "check the host, port and path of the store URL, and any proxy on the way"
)


def not_http(url: ServerUrl, call: Call, reason: str, *, known: bool) -> Exception:
    """Return the error for bytes that are not a response of HTTP/1.1."""
    tls = "" if url.secure else ", or is it https:// there"
    words = f"what answers at {url} does not speak our HTTP/1.1{tls}: {reason}"
    if known:
        return AttemptFailed(words, sent=isinstance(call, CHANGES))
    return ProtocolError(502, f"{words}; {_CHECK}")


def stranger(
    url: ServerUrl, call: Call, response: HttpResponse, reason: str = "", *, known: bool
) -> Exception:
    """Return the error for a response that no server of promises has sent."""
    status = response.status
    changes = isinstance(call, CHANGES)
    answer = f"its answer is {_shown(response)}" + (reason and f" ({reason})")
    if status == 413 and isinstance(call, Settle | Create):
        # A gateway's limit is for this request, however often it is sent.
        return InvalidValueError("$", f"it is too large on the way to {url}: {answer}")
    if known or status >= 500 or status in _MAY_PASS:
        words = "something else speaks in its place" if known else _CHECK
        return AttemptFailed(
            f"{url} does not speak the wire of promises{' now' * known}: "
            f"{answer}; {words}",
            sent=changes and status not in _NOT_FORWARDED,
            retry_after=_seconds(response),
        )
    where = response.headers.get(b"location", b"").decode("latin-1")
    if 300 <= status < 400 and where:
        return ProtocolError(
            status,
            f"{url} redirects to {quoted(where, 200)}; no redirect is followed, "
            "connect to that address if you trust it",
        )
    words = f"{url} does not speak the wire of promises: {answer}; {_CHECK}"
    if status in (401, 403):
        return AccessDeniedError(f"{words}; if it wants a token, {TOKEN_ADVICE}")
    return ProtocolError(status, words)


def _shown(response: HttpResponse) -> str:
    """Return who answered what, for a person."""
    headers = response.headers
    kind = headers.get(b"content-type")
    parts = [
        f"HTTP {response.status}",
        f"of type {_field(kind)}" if kind else "without a content type",
        *(
            f"{name.decode()} {_field(headers[name])}"
            for name in (b"server", b"via", b"content-encoding")
            if name in headers
        ),
    ]
    start = response.body[:_SHOWN_BYTES].decode(errors="replace")
    parts.append(f"body {quoted(start, _SHOWN_BYTES)}" if start else "no body")
    return ", ".join(parts)


_SHOWN_BYTES: Final = 120


def _field(value: bytes) -> str:
    return quoted(value.decode("latin-1"), 60)


def _seconds(response: HttpResponse) -> float:
    """Return a ``Retry-After`` in seconds; 0 for a date (RFC 9110 §10.2.3)."""
    header = response.headers.get(b"retry-after", b"")
    return float(header) if header.isdigit() else 0.0
