"""Metrics and health: counted per app, bounded, and cheap for the store."""

from __future__ import annotations

from collections.abc import Iterator
from shutil import which
from subprocess import run
from typing import Any, Final
from uuid import uuid4

import anyio
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from dp_core import BackendUnavailableError, State, connect
from dp_core.server import App, Settings, app
from support.server.asgi_driver import Request, Spy, ask
from support.server_process import Server, running

HIDDEN_ID: Final = "an-id-that-nobody-may-see"
OPENMETRICS: Final = b"application/openmetrics-text; version=1.0.0"


def served(**settings: Any) -> App:
    """Return an app over a store of its own."""
    return app(connect(f"memory:{uuid4()}").backend, Settings(**settings))


async def scrape(promises: App, accept: bytes = b"", **more: Any) -> Request:
    """Return the answer to a request for metrics."""
    headers = [(b"accept", accept), *more.pop("headers", [])]
    return await ask(promises, "/metrics", method="GET", headers=headers, **more)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all numbers of a text, as a parser of Prometheus's own reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def numbers(promises: App) -> dict[Any, float]:
    """Return the metrics of an app."""
    return samples((await scrape(promises)).body.decode())


def operations(operation: str, outcome: str) -> Any:
    """Return the name of a count of operations."""
    labels = (("operation", operation), ("outcome", outcome))
    return ("dp_operations_total", labels)


async def test_each_operation_is_counted_by_what_came_of_it() -> None:
    """By its kind and the state it found, alone and in a batch; a failure is one."""
    promises = served()
    x = {"promiseId": HIDDEN_ID}
    for path, body in (
        ("/promise/peek", x),
        ("/promise/resolve", {**x, "value": 1}),
        ("/promise/reject", {**x, "errorMessage": "no"}),
        ("/promise/await", x),
        ("/promise/create", {**x, "promiseId": "other"}),
        ("/promise/info", x),
        ("/batch", [{"op": "peek", **x}, {"op": "peek", **x}]),
        ("/promise/dispose", x),
        ("/promise/nope", x),
    ):
        await ask(promises, path, body)
    answer = await scrape(promises)
    found = samples(answer.body.decode())

    for operation, outcome, times in (
        ("peek", "pending", 1),
        ("peek", "resolved", 2),
        ("resolve", "resolved", 1),
        ("reject", "resolved", 1),
        ("await", "resolved", 1),
        ("create", "done", 1),
        ("info", "done", 1),
        ("dispose", "done", 1),
    ):
        assert found[operations(operation, outcome)] == times
    count = ("dp_operation_seconds_count", (("operation", "peek"),))
    assert 3 == found[count]
    assert 1 == found["dp_requests_refused_total", (("status", "404"),)]
    assert 0 < found["process_resident_memory_bytes", ()]
    assert 0 == found["dp_callbacks_pending", ()]
    assert HIDDEN_ID not in answer.body.decode()


async def test_who_waits_is_counted() -> None:
    """Requests that wait, streams, and the promises of these; none when they ended."""
    promises = served()
    names = ("dp_waiters", "dp_streams", "dp_watched_promises")
    waiting = Request("/promise/await", b'{"promiseId":"a"}')
    stream = Request("/watch", b'{"promiseIds":["a","b"]}')
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.run, promises)
        tasks.start_soon(stream.run, promises)
        await stream.until(b":")
        with anyio.fail_after(60):
            while (found := await numbers(promises))["dp_waiters", ()] < 2:
                await anyio.lowlevel.checkpoint()
        assert [2, 1, 2] == [found[name, ()] for name in names]
        waiting.disconnect()
        stream.disconnect()
    found = await numbers(promises)
    assert [0, 0, 0] == [found[name, ()] for name in names]


async def test_failures_of_the_store_are_counted(
    request: pytest.FixtureRequest,
) -> None:
    """By operation and class of the error, whose text is in the log alone."""
    spy = Spy(request.node.nodeid)
    promises = app(spy)
    spy.fail = BackendUnavailableError("/secret")
    await ask(promises, "/promise/peek", {"promiseId": HIDDEN_ID})
    found = await numbers(promises)

    labels = (("error", "BackendUnavailableError"), ("operation", "peek"))
    assert 1 == found["dp_store_errors_total", labels]
    assert 1 == found[operations("peek", "failed")]
    assert 1 == found["dp_requests_refused_total", (("status", "503"),)]


async def test_two_apps_of_a_process_count_for_themselves() -> None:
    """Each has numbers of its own."""
    one, other = served(), served()
    await ask(one, "/promise/peek", {"promiseId": "a"})

    assert operations("peek", "pending") in await numbers(one)
    assert operations("peek", "pending") not in await numbers(other)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (b"", "text/plain; version=0.0.4; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text"),
        (b"application/openmetrics-text; version=x", "text/plain"),
        (b"application/openmetrics-text; version=1.0.0\r\nx: y", "text/plain"),
        (b"application/openmetrics-text; version=1.0.0" + b"0" * 1000, "text/plain"),
    ],
)
async def test_the_form_is_that_which_is_asked_for(
    accept: bytes, media_type: str
) -> None:
    """Nothing that a client says gets into a head, or makes the server fail."""
    answer = await scrape(served(), accept)

    assert 200 == answer.status
    assert answer.headers["content-type"].startswith(media_type)
    if accept == OPENMETRICS:
        assert list(openmetrics.text_string_to_metric_families(answer.body.decode()))


async def test_metrics_take_a_token() -> None:
    """With the right to list; of another token nobody is told anything."""
    token = "t" * 40
    promises = served(token=token)
    opens = [(b"authorization", f"Bearer {token}".encode())]

    assert 401 == (await scrape(promises)).status
    assert 200 == (await scrape(promises, headers=opens)).status


async def test_probes_that_come_together_ask_the_store_once() -> None:
    """A thousand probes at once are one question; the next one is another."""

    class Slow(Spy):
        asked = 0

        async def peek(self, id: str) -> State[bytes]:
            self.asked += 1
            await anyio.sleep(0.01)
            return await super().peek(id)

    slow = Slow(str(uuid4()))
    promises = app(slow)
    probes = [Request("/health", method="GET") for _ in range(1000)]
    async with anyio.create_task_group() as tasks:
        for probe in probes:
            tasks.start_soon(probe.run, promises)

    assert {200} == {probe.status for probe in probes}
    assert 1 == slow.asked
    assert 200 == (await ask(promises, "/health", method="HEAD")).status
    assert 2 == slow.asked


@pytest.fixture
def server() -> Iterator[Server]:
    """A real server."""
    with running("memory:") as server:
        yield server


@pytest.mark.system
def test_prometheus_finds_nothing_to_complain_about(server: Server) -> None:
    """`promtool check metrics`, of what a real server answers."""
    promtool = which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool; apt-get install prometheus")
    server.ask("/promise/peek", b'{"promiseId":"a"}')
    text = server.ask("/metrics", None, {}, "GET").body
    checked = run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    complaints = [
        line for line in checked.stderr.decode().splitlines() if line.startswith("dp_")
    ]

    assert [] == complaints
    assert b"error while linting" not in checked.stderr
