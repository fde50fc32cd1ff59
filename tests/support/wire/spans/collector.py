"""A collector of spans: it takes what exporters send by OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

__all__ = ["Collected", "Collector", "collector"]

_NO_PROXY: Final = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@final
@dataclass(frozen=True)
class Collected:
    """A span that has come, from one of several processes."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    attributes: dict[str, Any] = field(default_factory=dict)


@final
@dataclass
class Collector:
    """What was sent here."""

    url: str
    spans: list[Collected] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process sends its spans here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, **_NO_PROXY}

    def line(self, last: Collected) -> list[str]:
        """Return a span and all above it, outermost first, each with its service."""
        by_id = {span.id: span for span in self.spans}
        found = [last]
        while above := by_id.get(found[0].parent):
            assert above.trace == last.trace
            found.insert(0, above)
        return [f"{span.service}: {span.name}" for span in found]


@contextmanager
def collector() -> Iterator[Collector]:
    """Take spans while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def _spans(request: Any) -> Iterator[Collected]:
    for of_resource in request.resource_spans:
        service = _values(of_resource.resource.attributes)["service.name"]
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield Collected(
                    service,
                    span.name,
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    _values(span.attributes),
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value"))
        for each in attributes
    }
