"""
`ObservedRequest`: one HTTP request, reported to the observers that ask for it.

`dp_core.instrumentation` is the public door for observers, `dp_core.backend` the one
for clients of servers. Without such observers a request pays one ``if``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal, Protocol, TypeAlias, final, runtime_checkable

__all__ = [
    "NUMBERS",
    "REQUEST_OBSERVERS",
    "UNDER_WAY",
    "ObservedRequest",
    "RequestFinished",
    "RequestObserver",
    "RequestReceiver",
    "RequestStarted",
    "Side",
    "observe_request",
    "operation_under_way",
]

Side: TypeAlias = Literal["client", "server"]
"""The program that reports a request: that which sends it, or that which answers it."""

NUMBERS: Final = count(1)
"""The numbers of operations and requests in this process."""

UNDER_WAY: Final[ContextVar[int | None]] = ContextVar("dp_under_way", default=None)
"""The number of the operation that runs here; set while there are observers."""


def operation_under_way() -> int | None:
    """Return the number of the operation that runs in this task, if one is observed."""
    return UNDER_WAY.get()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStarted:
    """
    A request is about to be sent, or has come.

    No query is in it, as there may be a token in one.

    Attributes:
        number: Counts in this process; `RequestFinished` has the same one.
        side: Who reports it.
        method: Its method; on a server, whatever somebody sent.
        route: The path with ``{id}`` in place of an id, which has few values; empty
            where the server has nothing there.
        path: The path, percent-encoded.
        scheme: ``http`` or ``https``.
        host: The server's name or address; on a server, that at which it was reached.
        port: The server's port.
        operations: The numbers of the operations that wait for it; a batch or a stream
            has many. On a server there are none, as theirs begin later.
        peer: On a server, the address of whoever sent it.
        headers: On a server, the request's headers, with names in lower case, and
            without those that have tokens in them.
    """

    number: int
    side: Side
    method: str
    route: str
    path: str
    scheme: str
    host: str
    port: int | None = None
    operations: tuple[int, ...] = ()
    peer: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)


@final
@dataclass(frozen=True, slots=True)
class RequestFinished:
    """
    A request was answered, or will not be.

    An event stream is finished when it has begun.

    Attributes:
        number: That of `RequestStarted`.
        side: As in `RequestStarted`.
        status: The status of the response; None where there is none.
        error: Why there is no whole response, if it failed; never one that only says
            what the status says.
        cancelled: Whether nobody waited for the response any more.
    """

    number: int
    side: Side
    status: int | None = None
    error: BaseException | None = None
    cancelled: bool = False


@runtime_checkable
class RequestObserver(Protocol):
    """
    An observer that also receives the HTTP requests of this process.

    Those that clients of ``http:`` stores send, and those that `dp_core.server`
    answers. What is said of `Observer` holds for these methods, too.
    """

    def request_started(self, event: RequestStarted, /) -> Mapping[str, str]:
        """
        Receive the beginning of a request.

        Returns:
            Headers that a client sends along: at most 16, together at most 1 KiB. What
            is more, or not valid, or of a name by which a request is understood, is
            left out, and that is logged once.
        """

    def request_finished(self, event: RequestFinished, /) -> None:
        """Receive its end; it may come from another task than the beginning."""


class RequestReceiver(RequestObserver, Protocol):
    """An observer of requests that fails by no exception."""

    def note_refused(self, name: str, why: str) -> None:
        """Take note that a header for which it asks cannot be sent."""


REQUEST_OBSERVERS: Final[list[RequestReceiver]] = []
"""The observers of requests; changed by `dp_core.instrumentation` only."""


@final
class ObservedRequest:
    """
    A request that observers have been told of.

    Args:
        event: What they are told.

    Attributes:
        headers: What a client sends along, of what the observers ask for.
    """

    __slots__ = ("_event", "_observers", "headers")

    def __init__(self, event: RequestStarted) -> None:
        self._event: RequestStarted | None = event
        self._observers = tuple(REQUEST_OBSERVERS)
        self.headers: dict[str, str] = {}
        for observer in self._observers:
            for name, value in observer.request_started(event).items():
                if why := _refused(name, value, self.headers):
                    observer.note_refused(name, why)
                else:
                    self.headers[name.lower()] = value

    def finish(
        self,
        status: int | None = None,
        error: BaseException | None = None,
        *,
        cancelled: bool = False,
    ) -> None:
        """
        Report the end, unless that was done.

        Args:
            status: As in `RequestFinished`.
            error: As in `RequestFinished`.
            cancelled: As in `RequestFinished`.
        """
        event, self._event = self._event, None
        if event is not None:
            ended = RequestFinished(event.number, event.side, status, error, cancelled)
            for observer in self._observers:
                observer.request_finished(ended)


def observe_request(  # noqa: PLR0913 - the fields of an event
    *,
    method: str,
    route: str,
    path: str,
    scheme: str,
    host: str,
    port: int,
    operations: Iterable[int | None],
) -> ObservedRequest | None:
    """
    Report that a client is about to send a request; None if nobody is told.

    Whoever sends it adds `ObservedRequest.headers`, and calls `ObservedRequest.finish`.

    Args:
        method: As in `RequestStarted`.
        route: As in `RequestStarted`.
        path: As in `RequestStarted`.
        scheme: As in `RequestStarted`.
        host: As in `RequestStarted`.
        port: As in `RequestStarted`.
        operations: What `operation_under_way` returned to those who wait for it.
    """
    if not REQUEST_OBSERVERS:
        return None
    return ObservedRequest(
        RequestStarted(
            number=next(NUMBERS),
            side="client",
            method=method,
            route=route,
            path=path,
            scheme=scheme,
            host=host,
            port=port,
            operations=tuple(each for each in operations if each is not None),
        )
    )


# Headers --------------------------------------------------------------------

_MOST: Final = 16
_MOST_BYTES: Final = 1024
"""The longest headers together: with them, a request still goes out at once."""

# A token, and visible ASCII with spaces inside (RFC 9110 §5.1, §5.5).
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[!-~]([ -~\t]*[!-~])?")

_OWN: Final = re.compile(
    r"(accept|access-control|content|forwarded|if|proxy|sec|transfer|x-forwarded)(-.*)?"
    r"|authorization|connection|cookie|expect|host|idempotency-key|keep-alive|origin"
    r"|prefer|range|referer|te|trailer|upgrade|via",
    re.IGNORECASE,
)
"""Names of headers by which a request is understood, let in, or cut in two."""


def _refused(name: str, value: str, good: Mapping[str, str]) -> str | None:
    """Return why a client may not send a header beside others, if it may not."""
    # Not a subclass, whose methods are somebody else's.
    if not (type(name) is str and type(value) is str):
        return "not text"
    if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
        return "not valid"
    if _OWN.fullmatch(name) or name.lower() in good:
        return "taken"
    length = sum(map(len, (*good, *good.values(), name, value)))
    if length + (len(good) + 1) * len(": \r\n") > _MOST_BYTES or len(good) == _MOST:
        return "too long, or one too many"
    return None
