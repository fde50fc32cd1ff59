"""
`OpenTelemetryObserver`: operations and HTTP requests as spans of OpenTelemetry.

.. code-block:: python

    from dp_core.instrumentation import add_observer
    from dp_core.otel import OpenTelemetryObserver

    add_observer(OpenTelemetryObserver())

Names and attributes are those of OpenTelemetry's conventions for HTTP, and ``dp.…`` for
what is about promises. In none of them is a value, a token or the query of a request.
The trace goes along with the requests of ``http:`` stores, by the propagators of the
process: as ``traceparent`` and ``tracestate``, unless ``OTEL_PROPAGATORS`` says
otherwise.

It needs the extra ``[otel]``, which is OpenTelemetry's API. Where spans go to is a
matter of the SDK, which the program sets up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias, final

from dp_core._errors import CodecError, PromiseRejectedError, ProtocolError
from dp_core._extras import without_extra
from dp_core._public import publish
from dp_core._text import described, shortened, visible, without_password
from dp_core._version import __version__
from dp_core.instrumentation import Finished, RequestFinished, RequestStarted, Started

try:
    from opentelemetry import context, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode
except ModuleNotFoundError as missing:
    raise without_extra(missing, "spans need", "otel") from None

__all__ = ["OpenTelemetryObserver"]

_Attributes: TypeAlias = dict[str, str | int]

_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)


@lru_cache
def _store(url: str) -> str:
    return visible(shortened(without_password(url), 200))


@final
class OpenTelemetryObserver:
    """
    An observer that makes a span of each operation and of each HTTP request.

    Args:
        tracer_provider: Where spans come from; by default that of the process, also if
            it is set later.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("dp_core", __version__, tracer_provider)
        # With what was current before, if the span became it.
        self._open: dict[int, tuple[Span, Context | None]] = {}

    def started(self, event: Started) -> None:
        """Begin the span of an operation, a child of what is current."""
        attributes: _Attributes = {
            "dp.operation": event.operation,
            "dp.store": _store(event.url),
        }
        if event.id:
            attributes["dp.promise.id"] = event.id
        span = self._tracer.start_span(
            f"promise {event.operation}", attributes=attributes
        )
        self._keep(event.number, span, current=not event.joint)

    def finished(self, event: Finished) -> None:
        """End it; by an error, unless that is a rejection or a cancellation."""
        if (span := self._taken(event.number)) is None:
            return
        span.set_attribute("dp.result", event.result)
        if event.count is not None:
            span.set_attribute("dp.count", event.count)
        if event.cancelled or isinstance(event.error, PromiseRejectedError | None):
            span.end()
        else:
            _end_by_error(span, event.error)

    def request_started(self, event: RequestStarted) -> dict[str, str]:
        """Begin the span of a request; return the headers that carry it."""
        if event.side == "server":
            self._begin_server(event)
            return {}
        attributes = _method(event)
        host = f"[{event.host}]" if ":" in event.host else event.host
        origin = f"{event.scheme}://{host}:{event.port}"
        attributes["url.full"] = f"{origin}{event.path}"
        attributes["url.template"] = event.route
        waiting = [
            self._open[number][0] for number in event.operations if number in self._open
        ]
        # A parent that is not recorded would have the span of the others not recorded.
        waiting.sort(key=lambda span: not span.is_recording())
        parent = trace.set_span_in_context(waiting[0]) if waiting else None
        span = self._tracer.start_span(
            _name(attributes, event.route),
            context=parent,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            links=[Link(other.get_span_context()) for other in waiting[1:]],
        )
        for other in waiting[1:]:
            other.add_link(span.get_span_context())
        self._keep(event.number, span)
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(span))
        return headers

    def request_finished(self, event: RequestFinished) -> None:
        """End it, with the status of the response."""
        if (span := self._taken(event.number)) is None:
            return
        if event.status is not None:
            span.set_attribute("http.response.status_code", event.status)
            if event.status >= (500 if event.side == "server" else 400):
                span.set_attribute("error.type", str(event.status))
                span.set_status(StatusCode.ERROR)
        if event.cancelled or event.error is None:
            span.end()
        else:
            _end_by_error(span, event.error)

    def _begin_server(self, event: RequestStarted) -> None:
        attributes = _method(event)
        attributes["url.path"] = visible(shortened(event.path, 2000))
        attributes["url.scheme"] = event.scheme
        if event.route:
            attributes["http.route"] = event.route
        if event.peer is not None:
            attributes["client.address"] = event.peer
        for name, value in event.headers:
            if name == b"user-agent":
                agent = visible(shortened(value.decode("latin-1"), 200))
                attributes["user_agent.original"] = agent
        around, kind = context.get_current(), SpanKind.INTERNAL
        # In an app that has a span of this request, this one is inside of it.
        if not trace.get_current_span(around).get_span_context().is_valid:
            around, kind = (
                propagate.extract(_carrier(event), Context()),
                SpanKind.SERVER,
            )
        span = self._tracer.start_span(
            _name(attributes, event.route),
            context=around,
            kind=kind,
            attributes=attributes,
        )
        self._keep(event.number, span, around, current=True)

    def _keep(
        self,
        number: int,
        span: Span,
        around: Context | None = None,
        *,
        current: bool = False,
    ) -> None:
        self._open[number] = span, context.get_current() if current else None
        if current:
            context.attach(trace.set_span_in_context(span, around))

    def _taken(self, number: int) -> Span | None:
        span, before = self._open.pop(number, (None, None))
        # Not by a token: a coroutine that is dropped ends where the collector runs.
        if before is not None and trace.get_current_span() is span:
            context.attach(before)
        return span


def _end_by_error(span: Span, error: BaseException) -> None:
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    # Not `record_exception`: a traceback has the texts of other errors, too. What is
    # wrong with a value, or with an answer, may quote it.
    text = kind.__name__
    if not isinstance(error, CodecError | ProtocolError):
        text = shortened(without_password(described(error, 10_000)), 300)
    span.add_event("exception", {"exception.type": name, "exception.message": text})
    span.set_attribute("error.type", name)
    span.set_status(StatusCode.ERROR, text)
    span.end()


# HTTP, by the conventions ---------------------------------------------------


def _method(event: RequestStarted) -> _Attributes:
    """Return the attributes that a request has on both sides."""
    attributes: _Attributes = {
        "http.request.method": event.method,
        "server.address": event.host,
    }
    if event.port is not None:
        attributes["server.port"] = event.port
    if event.method not in _METHODS:
        attributes["http.request.method"] = "_OTHER"
        attributes["http.request.method_original"] = visible(
            shortened(event.method, 20)
        )
    return attributes


def _name(attributes: _Attributes, route: str) -> str:
    method = attributes["http.request.method"]
    return f"{'HTTP' if method == '_OTHER' else method} {route}".rstrip()


def _carrier(event: RequestStarted) -> dict[str, str]:
    """
    Return the headers of a request, for the propagators, which parse them.

    Of several they would take the first, which may be another one for a proxy; of all
    together none is valid, but for those that are lists (W3C Trace Context §3.3.1,
    Baggage §3.1). To split a run of spaces takes them the square of its length.
    """
    found: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return {
        key: text
        for key, text in found.items()
        if text.isascii()
        and text.isprintable()
        and "  " not in text
        and len(text) <= _LONGEST
    }


_LONGEST: Final = 1024
"""The longest header of a stranger's that is parsed; our clients send no longer one."""

publish(__name__, __all__)
