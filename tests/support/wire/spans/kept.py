"""Spans that were made, kept in memory, and how they are told in a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from dp_core.instrumentation import observing
from dp_core.otel import OpenTelemetryObserver

__all__ = ["PARENT", "Spans", "collecting", "traceparent"]

PARENT: Final = f"00-{'ab' * 16}-{'cd' * 8}-01"
"""A header of somebody who has a span."""


@final
class Spans:
    """
    A provider of spans that keeps those that have ended.

    Attributes:
        provider: The provider, for other observers and for spans of a test's own.
    """

    def __init__(self, **options: Any) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))

    def own(self, name: str) -> Any:
        """Return a block in a span of the test's own."""
        return self.provider.get_tracer("test").start_as_current_span(name)

    def all(self) -> list[ReadableSpan]:
        """Return those that have ended, in the order in which they began."""
        return sorted(self._kept.get_finished_spans(), key=_start)

    def one(self, name: str) -> ReadableSpan:
        """Return the only one of a name."""
        (span,) = (span for span in self.all() if span.name == name)
        return span

    def tree(self) -> dict[str, Any]:
        """Return names in names, as their spans are in each other."""
        return self._below(None)

    def _below(self, parent: int | None) -> dict[str, Any]:
        known = {_id(span) for span in self.all()}
        found: dict[str, Any] = {}
        for span in self.all():
            above = span.parent.span_id if span.parent else None
            if above == parent or (parent is None and above not in known):
                name = span.name
                while name in found:
                    name += "'"
                found[name] = self._below(_id(span))
        return found

    def links(self, span: ReadableSpan) -> list[str]:
        """Return the names and promises of the spans that one is linked with."""
        by_id = {_id(each): each for each in self.all()}
        linked = [by_id[link.context.span_id] for link in span.links]
        return sorted(
            f"{each.name} {attribute(each, 'dp.promise.id')}" for each in linked
        )

    def failed(self) -> list[str]:
        """Return the names of those that say that something went wrong."""
        return [
            span.name
            for span in self.all()
            if span.status.status_code is StatusCode.ERROR or "error.type" in seen(span)
        ]

    def text(self) -> str:
        """Return all that is in them."""
        return "".join(span.to_json() for span in self.all())


@contextmanager
def collecting(**options: Any) -> Iterator[Spans]:
    """Keep the spans of what happens in a block."""
    spans = Spans(**options)
    with observing(OpenTelemetryObserver(spans.provider)):
        yield spans


def seen(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


def attribute(span: ReadableSpan, name: str) -> Any:
    """Return an attribute of a span; an empty text where there is none."""
    return seen(span).get(name, "")


def traceparent(span: ReadableSpan) -> str:
    """Return the header by which a span is known to a server, without its flags."""
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-"


def _id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def _start(span: ReadableSpan) -> int:
    assert span.start_time is not None
    return span.start_time
