"""``dp serve --otel``: one trace in all processes, and what is missing is named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from support.core.program import PROGRAM
from support.server_process import JSON, Server
from support.wire.spans.collector import Collector, collector
from support.wire.spans.kept import PARENT

CLIENT: Final = """
import sys
import anyio
import dp_core as dp
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from dp_core.instrumentation import add_observer
from dp_core.otel import OpenTelemetryObserver

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
add_observer(OpenTelemetryObserver())

async def main(url):
    async with dp.connect(url) as promises:
        with trace.get_tracer("order").start_as_current_span("order 17"):
            await promises.promise("order-17").resolve("shipped")
            async with anyio.create_task_group() as tasks:
                for n in range(3):
                    tasks.start_soon(promises.promise(f"item-{n}").get)
                for n in range(3):
                    await promises.promise(f"item-{n}").resolve(n)

anyio.run(main, sys.argv[1], backend=sys.argv[2])
trace.get_tracer_provider().shutdown()
"""
"""A program of a user's."""

OWN_PROVIDER: Final = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
trace.set_tracer_provider(TracerProvider())
written = ConsoleSpanExporter(formatter=lambda span: f"made {span.name}\\n")
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(written))
from dp_core.cli import main
sys.argv[0] = "dp"
sys.exit(main())
"""
"""The program, as ``opentelemetry-instrument`` starts it."""

NO_SDK: Final = """
import sys
sys.modules["opentelemetry.sdk"] = None
from dp_core.cli import main
sys.argv[0] = "dp"
sys.exit(main())
"""


def environment(**variables: str) -> dict[str, str]:
    """Return an environment without OpenTelemetry's variables, but for some."""
    unset = ("OTEL_", "DP_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unset)}
    return {**kept, **variables}


@contextmanager
def serving(
    *arguments: str, program: tuple[str, ...] = PROGRAM, **variables: str
) -> Iterator[Server]:
    """Run ``dp serve --otel`` over a store of its own, until the block ends."""
    with subprocess.Popen(
        [*program, "serve", "--port", "0", "--url", "memory:", *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            listening, store = process.stdout.readline(), process.stdout.readline()
            (port,) = re.findall(r"http://127.0.0.1:(\d+)$", listening)
            yield Server(process, int(port), store)
        finally:
            if process.poll() is None:
                process.kill()


def ended(server: Server) -> tuple[int, str, str]:
    """Let a server stop; return its exit code and what it has said."""
    server.process.send_signal(signal.SIGTERM)
    said, complained = server.process.communicate(timeout=60)
    return server.process.returncode, said, complained


def peek(server: Server, **headers: str) -> Any:
    """Ask for a promise; return what is answered."""
    answer = server.ask("/promise/peek", '{"promiseId": "id"}', {**JSON, **headers})
    assert 200 == answer.status
    return answer.json()


@pytest.fixture
def collected() -> Iterator[Collector]:
    """Take spans from all processes."""
    with collector() as collected:
        yield collected


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_trace_goes_through_both_processes(
    collected: Collector, backend: str
) -> None:
    """From the user's own span to the operation in the store of the server."""
    with serving("--otel", **collected.environment) as server:
        subprocess.run(
            [sys.executable, "-c", CLIENT, f"http://127.0.0.1:{server.port}", backend],
            env=environment(OTEL_SERVICE_NAME="shop", **collected.environment),
            check=True,
            timeout=60,
        )
        assert (0, "", "") == ended(server)

    lines = [collected.line(span) for span in collected.spans]
    assert [
        "shop: order 17",
        "shop: promise resolve",
        "shop: POST /promise/resolve",
        "dp serve: POST /promise/resolve",
        "dp serve: promise resolve",
    ] in lines
    assert 1 == len({span.trace for span in collected.spans})
    assert {"shop: order 17"} == {line[0] for line in lines}
    settled = {
        span.attributes["dp.promise.id"]
        for span in collected.spans
        if (span.service, span.name) == ("dp serve", "promise resolve")
    }
    assert {"order-17", "item-0", "item-1", "item-2"} == settled


def test_names_of_the_environment_count(collected: Collector) -> None:
    """The SDK reads its variables; only what is not said is chosen here."""
    with serving(
        "--otel",
        OTEL_RESOURCE_ATTRIBUTES="service.name=promises",
        OTEL_TRACES_EXPORTER="none, otlp",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        **collected.environment,
    ) as server:
        peek(server)
        ended(server)

    assert {"promises"} == {span.service for span in collected.spans}


def test_a_provider_that_is_there_is_taken() -> None:
    """As of ``opentelemetry-instrument``, which sets up everything itself."""
    program = (sys.executable, "-c", OWN_PROVIDER)
    with serving("--otel", program=program, OTEL_TRACES_EXPORTER="nowhere") as server:
        peek(server)
        status, said, complained = ended(server)

    assert (0, "") == (status, complained)
    assert "made promise peek\nmade POST /promise/peek\n" == said


def test_without_the_option_there_are_none(collected: Collector) -> None:
    """Variables that are there for all programs change nothing."""
    with serving(**collected.environment) as server:
        peek(server, traceparent=PARENT)
        assert (0, "", "") == ended(server)
    assert [] == collected.spans


def test_strangers_do_not_fill_the_log(collected: Collector) -> None:
    """What the propagators cannot read is left out without a line."""
    with serving("--otel", **collected.environment) as server:
        for state in ("no pairs", "a=1,a=2", "a=" + "x" * 600, "\x9b31m"):
            peek(server, traceparent=PARENT, tracestate=state, baggage=state * 20)
        peek(server, traceparent=PARENT + "-" + "x" * 60_000)
        assert (0, "", "") == ended(server)
    assert collected.spans


def test_a_collector_that_is_away_breaks_nothing() -> None:
    """Requests are answered, and the server stops as it does."""
    with serving(
        "--otel",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_SCHEDULE_DELAY="10",
        NO_PROXY="127.0.0.1",
    ) as server:
        for _ in range(20):
            assert None is peek(server)
        status, _, complained = ended(server)

    assert 0 == status
    assert "Traceback" not in complained


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin\n"}, "there is no exporter 'zipkin'"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "no exporter 'otlp by http/json",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "there is no exporter 'otlp_proto"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "look at the variables OTEL_"),
        ({"OTEL_PROPAGATORS": "nobody's"}, "look at the variables OTEL_"),
    ],
)
def test_what_cannot_be_is_one_line(variables: dict[str, str], told: str) -> None:
    """It is told before anything is served."""
    refused([*PROGRAM], told, **variables)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """And who does not ask for spans needs nothing."""
    line = "raise ModuleNotFoundError('opentelemetry', name='opentelemetry')\n"
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text(line)
    path = str(tmp_path)
    refused([*PROGRAM], "pip install 'durable-promises[otel]'", PYTHONPATH=path)
    with serving(PYTHONPATH=path) as server:
        assert None is peek(server)


def test_without_an_sdk_it_says_what_to_install() -> None:
    """The extra brings the API; where spans go to is the user's choice."""
    program = [sys.executable, "-c", NO_SDK]
    refused(program, "pip install opentelemetry-sdk opentelemetry-exporter-otlp")


def refused(program: list[str], told: str, **variables: str) -> None:
    """Check that a server does not start, and says so in one line."""
    done = subprocess.run(
        [*program, "serve", "--port", "0", "--url", "memory:", "--otel"],
        env=environment(**variables),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert told in done.stderr
    assert done.stderr.startswith("dp: ")
    assert 1 == done.stderr.count("\n")
