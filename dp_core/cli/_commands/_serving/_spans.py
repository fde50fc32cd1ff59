"""
`sending_spans`: spans of OpenTelemetry, sent to where its variables say.

The SDK reads ``OTEL_…`` from the environment, but for the choice of an exporter, which
is made here by its variables, too. A provider that is there already, as of
``opentelemetry-instrument``, is taken as it is.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Final

from dp_core._errors import BackendUnavailableError
from dp_core._text import described, quoted
from dp_core.cli._commands._serving._options import needs_extra
from dp_core.instrumentation import observing

__all__ = ["sending_spans"]

_WAY: Final = (
    "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or start it "
    "by opentelemetry-instrument"
)

_SECONDS: Final = 5.0
"""The longest time in which the last spans are sent."""

_OTLP: Final = {
    "grpc": "otlp_proto_grpc",
    "http/protobuf": "otlp_proto_http",
}
"""Exporters by the protocols of OTLP."""

_READERS_OF_HEADERS: Final = (
    "opentelemetry.baggage.propagation",
    "opentelemetry.trace.propagation.tracecontext",
    "opentelemetry.trace.span",
)
"""Loggers to which strangers could write a line by each request."""


@contextmanager
def sending_spans() -> Iterator[None]:
    """
    Make spans while the block runs, and send the last of them before it ends.

    Raises:
        BackendUnavailableError: Something is not installed, or not valid.
    """
    # An extra, and too large to load for who does not ask for it.
    with needs_extra("--otel needs", "otel"), _naming_variables():
        from opentelemetry import trace  # noqa: PLC0415

        from dp_core.otel import OpenTelemetryObserver  # noqa: PLC0415

        own = None
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            own = _provider()
            trace.set_tracer_provider(own)
    for name in _READERS_OF_HEADERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with observing(OpenTelemetryObserver()):
            yield
    finally:
        if own is not None:
            # It tries again and again where nobody takes them.
            ending = threading.Thread(target=own.shutdown, daemon=True)
            ending.start()
            ending.join(_SECONDS)


def _provider() -> Any:
    """Return a provider of the SDK, with what the environment asks for."""
    try:
        from opentelemetry.sdk import resources  # noqa: PLC0415 - not ours to bring
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            f"--otel needs the SDK of OpenTelemetry ({error}): {_WAY}"
        ) from None
    named = resources.OTELResourceDetector().detect().attributes
    ours = {} if "service.name" in named else {"service.name": "dp serve"}
    provider = TracerProvider(
        resource=resources.Resource.create(ours), shutdown_on_exit=False
    )
    for exporter in _exporters():
        provider.add_span_processor(BatchSpanProcessor(exporter()))
    return provider


@contextmanager
def _naming_variables() -> Iterator[None]:
    """Make one error of ours of whatever is raised for a variable that is not valid."""
    try:
        yield
    except (BackendUnavailableError, ModuleNotFoundError):
        raise
    except Exception as error:
        # Of any package: a name that nobody knows, a file that is not there.
        raise BackendUnavailableError(
            f"spans cannot be made: {described(error)}; look at the variables OTEL_…"
        ) from error


def _exporters() -> Iterator[Any]:
    """Yield the classes of the exporters that ``OTEL_TRACES_EXPORTER`` names."""
    for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        if (entry := name.strip()) == "none":
            continue
        if entry == "otlp":
            protocol = (
                os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
                or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
                or "http/protobuf"
            ).strip()
            entry = _OTLP.get(protocol, f"otlp by {protocol}")
        found = tuple(entry_points(group="opentelemetry_traces_exporter", name=entry))
        if not found:
            raise BackendUnavailableError(
                f"there is no exporter {quoted(entry)} of OpenTelemetry here: install "
                f"the package that brings it ({_WAY}), or name another one in "
                "OTEL_TRACES_EXPORTER"
            )
        yield found[0].load()
