"""
`Peer`, and `interpret`: what the server is known to be, and what it answers.

This is the one place that decides what a response means. The wire itself is in
`dp_core.wire`; here is what HTTP, and Restate as a server, add to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._url import ServerUrl
from dp_core import BackendError, OutcomeUnknownError, Pending, ProtocolError
from dp_core.wire import TRANSIENT, Call, Wait, read_answer

__all__ = ["Peer", "interpret"]

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
        answered: It has answered this handle.
        honours_prefer: It ends a wait when the time that we prefer is over
            (RFC 7240 §4.3). The service of the reference does not, and holds
            the response until there is an outcome.
        is_restate: It is Restate.
    """

    answered: bool = False
    honours_prefer: bool = False
    is_restate: bool = False

    @property
    def hold_seconds(self) -> tuple[int, int]:
        """The shortest and the longest time to let it hold a wait."""
        return _RESTATE_HOLD_SECONDS if self.is_restate else _HOLD_SECONDS

    @property
    def settles_in_path(self) -> bool:
        """Whether a settle names its promise in the path: see `write_call`."""
        return self.is_restate

    def after(self, call: Call, response: HttpResponse, answer: object) -> Peer:
        """Return what is known after a *response* whose *answer* was understood."""
        in_time = isinstance(call, Wait) and isinstance(answer, Pending)
        honours_prefer = self.honours_prefer or in_time
        is_restate = self.is_restate or _RESTATE_HEADER in response.headers
        known = (self.answered, self.honours_prefer, self.is_restate)
        if known == (True, honours_prefer, is_restate):
            return self
        return Peer(answered=True, honours_prefer=honours_prefer, is_restate=is_restate)


def interpret(url: ServerUrl, call: Call, response: HttpResponse) -> Any:
    """
    Return the answer to *call*: what `dp_core.wire.read_answer` returns.

    Raises:
        AttemptFailed: The same call may succeed later.
        DurablePromiseError: It will not; the error says who answered.
    """
    if 300 <= response.status < 400:
        where = response.headers.get(b"location", b"").decode("latin-1")
        raise ProtocolError(
            response.status,
            f"{url} redirects to {where!r}; no redirect is followed, "
            "connect to that address if you trust it",
        )
    try:
        return read_answer(call, response.status, response.body)
    except TRANSIENT as error:
        raise AttemptFailed(
            f"{url}: {error.reason}",
            sent=isinstance(error, OutcomeUnknownError),
            retry_after=_seconds(response.headers.get(b"retry-after", b"")),
        ) from None
    except ProtocolError as error:
        raise ProtocolError(error.status, f"{url}: {error.reason}") from None
    except BackendError as error:
        raise type(error)(f"{url}: {error.reason}") from None


def _seconds(header: bytes) -> float:
    """Return a ``Retry-After`` in seconds; 0 for a date (RFC 9110 §10.2.3)."""
    return float(header) if header.isdigit() else 0.0
