"""What a client does when a server says this or that on an event stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from dp_backends.http import HttpBackend
from dp_backends.http._waits import _stream, _stream_gate, _waits
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    Outcome,
    Pending,
    PromiseDisposedError,
    Resolved,
)
from dp_core._observed_requests import UNDER_WAY
from dp_core.instrumentation import observing
from dp_core.wire import write_event
from support.http import (
    BEGUN,
    ScriptedStream,
    Server,
    eventually,
    failure,
    known,
    page,
)
from support.wire.watching import Watching

ONE, TWO = Resolved(b"1"), Resolved(b"2")


@dataclass(eq=False)
class Waits:
    """A handle, its server, and waits, each of which is on a stream."""

    backend: HttpBackend
    server: Server
    group: anyio.abc.TaskGroup
    kept: dict[str, object] = field(default_factory=dict)

    def wait(self, *ids: str) -> None:
        for id in ids:
            self.group.start_soon(self._keep, id)

    async def _keep(self, id: str) -> None:
        try:
            self.kept[id] = await self.backend.wait(id)
        except PromiseDisposedError as error:
            self.kept[id] = type(error)

    async def asked(self, number: int) -> ScriptedStream:
        """Return the stream that was asked for after so many others."""
        await self.server.until(lambda server: len(server.asked_streams) > number)
        return self.server.asked_streams[number]

    async def begun(self, number: int = 0) -> ScriptedStream:
        stream = await self.asked(number)
        await stream.say(BEGUN)
        return stream

    @property
    def knows_streams(self) -> bool:
        return self.backend._client.peer.streams


@pytest.fixture(autouse=True)
def no_long_polls_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first wait go on a stream."""
    monkeypatch.setattr(_waits, "_FEW", 0)


@asynccontextmanager
async def serving() -> AsyncIterator[Waits]:
    """Serve, with a handle that knows the server; in the end nothing waits."""
    with anyio.fail_after(60):
        async with Server(has_streams=True).serving() as server:
            backend = await known(server.url)
            async with anyio.create_task_group() as group:
                yield Waits(backend, server, group)
                group.cancel_scope.cancel()
            assert 0 == backend.stats().busy
            await backend.aclose()


async def until_kept(waits: Waits, number: int) -> dict[str, object]:
    """Return the outcomes once there are so many."""
    await eventually(lambda: len(waits.kept) == number)
    return waits.kept


async def test_a_new_stream_takes_along_an_old_one() -> None:
    """It asks for its promises, too, and once it has begun, the old one is left."""
    async with serving() as waits:
        waits.wait("a")
        first = await waits.begun()
        waits.wait("b")
        second = await waits.asked(1)
        assert {"a", "b"} == {*second.ids}
        assert not first.is_left.is_set()
        await second.say(BEGUN)
        await first.is_left.wait()
        for id in second.ids:
            await second.tell(id, ONE)
        assert {"a": ONE, "b": ONE} == await until_kept(waits, 2)
        await second.is_left.wait()


async def test_who_comes_after_the_request_waits_for_the_next() -> None:
    """It must not hear of a disposal from before it came."""
    async with serving() as waits:
        waits.wait("a")
        first = await waits.asked(0)
        waits.wait("b")
        await anyio.wait_all_tasks_blocked()
        await first.say(BEGUN)
        assert "b" in (await waits.asked(1)).ids


async def test_an_outcome_that_is_gone_when_asked_for_was_disposed_of() -> None:
    """It was there when the stream said so."""
    async with serving() as waits:
        waits.wait("a", "b")
        stream = await waits.begun()
        await waits.server.backend.settle("b", TWO)
        for id in ("a", "b"):
            await stream.tell(id, None)
        kept = await until_kept(waits, 2)
        assert {"a": PromiseDisposedError, "b": TWO} == kept


@pytest.mark.parametrize("how", ["cut", "garbage", "silence"])
async def test_a_stream_that_ends_is_asked_for_again(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause if it was short; also one that says nothing, or nonsense."""
    pauses: list[float] = []
    monkeypatch.setattr(_stream, "uniform", lambda low, high: pauses.append(low) or 0)
    if how == "silence":
        monkeypatch.setattr(_stream, "_SILENT_SECONDS", 0.05)
    async with serving() as waits:
        waits.wait("a")
        first = await waits.begun()
        await eventually(lambda: waits.backend.stats().streams == 1)
        if how == "cut":
            await first.cut()
        elif how == "garbage":
            await first.say(b"data: {}\n\n")
        await (await waits.begun(1)).tell("a", ONE)
        assert {"a": ONE} == await until_kept(waits, 1)
        await first.is_left.wait()
    assert pauses


@pytest.mark.parametrize("late", [False, True])
async def test_streams_are_done_without_where_there_are_none(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that is too long for what is on the way, and one that is held back."""
    if late:
        monkeypatch.setattr(_stream_gate, "_LATE_SECONDS", 0.05)
    async with serving() as waits:
        waits.wait("a")
        stream = await waits.asked(0)
        if not late:
            await stream.answer(page(413))
        await waits.server.resolve_waited("a", b"1")
        assert {"a": ONE} == await until_kept(waits, 1)
        assert not waits.knows_streams
        assert [stream] == waits.server.asked_streams


@pytest.mark.parametrize("late", [False, True])
async def test_one_that_fails_is_not_all(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused for one of its promises, or late once: others go on streams again."""
    async with serving() as waits:
        waits.wait("a")
        await (await waits.begun()).tell("a", ONE)
        await until_kept(waits, 1)
        if late:
            monkeypatch.setattr(_stream_gate, "_LATE_SECONDS", 0.05)
        waits.wait("b")
        stream = await waits.asked(1)
        if not late:
            await stream.answer(failure(400, "not an id"))
        await waits.server.resolve_waited("b", b"1")
        assert {"a": ONE, "b": ONE} == await until_kept(waits, 2)
        assert waits.knows_streams


async def test_a_token_that_was_replaced_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused with the old one, a stream is asked for with the new one."""
    monkeypatch.setenv("DP_TOKEN", "old")
    async with serving() as waits:
        waits.wait("a")
        first = await waits.asked(0)
        monkeypatch.setenv("DP_TOKEN", "new")
        await first.answer(failure(401, "another token"))
        await (await waits.begun(1)).tell("a", ONE)
        assert {"a": ONE} == await until_kept(waits, 1)
        asked = zip(waits.server.paths, waits.server.headers, strict=True)
        tokens = [head[b"authorization"] for path, head in asked if path == "/watch"]
    assert [b"Bearer old", b"Bearer new"] == tokens


async def test_a_token_that_is_none_is_told_to_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What took the place of one that is refused: not only who asked hears so."""
    monkeypatch.setenv("DP_TOKEN", "old")
    refused: list[str] = []
    async with serving() as waits:

        async def wait(id: str) -> None:
            with pytest.raises(AccessDeniedError):
                await waits.backend.wait(id)
            refused.append(id)

        for id in "abc":
            waits.group.start_soon(wait, id)
        stream = await waits.asked(0)
        assert {*"abc"} == {*stream.ids}
        monkeypatch.setenv("DP_TOKEN", "not a token")
        await stream.answer(failure(401, "this is not the server's token"))
        await eventually(lambda: len(refused) == 3)


@pytest.mark.parametrize("seconds", [30, 1])
async def test_a_wait_with_an_end_goes_on_without_streams(seconds: float) -> None:
    """Where there turn out to be none, the rest of its time is a long poll's."""
    async with serving() as waits:
        told: list[object] = []

        async def wait() -> None:
            told.append(await waits.backend.wait_for("a", seconds))

        waits.group.start_soon(wait)
        await (await waits.asked(0)).answer(page(404, "no such endpoint"))
        if seconds > 1:
            await waits.server.resolve_waited("a", b"1")
        await eventually(lambda: bool(told))

    assert [ONE if seconds > 1 else Pending()] == told


async def test_no_request_is_longer_than_proxies_take() -> None:
    """The promises of very long ids are asked for by several streams."""
    ids = [f"{n:03}{'x' * 1000}" for n in range(600)]
    async with serving() as waits:
        waits.wait(*ids)
        first = await waits.begun()
        second = await waits.begun(1)
    assert 100 < len(first.ids) <= 524
    assert {*ids} <= {*first.ids, *second.ids}


async def test_who_leaves_hangs_up() -> None:
    """Before the stream has begun, and after."""
    async with serving() as waits:
        for begins in (False, True):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(waits.backend.wait, f"left {begins}")
                    number = int(begins)
                    stream = await (waits.begun if begins else waits.asked)(number)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            await stream.is_left.wait()
            assert 0 == waits.backend.stats().busy


# Watches ---------------------------------------------------------------------


async def tell_all(stream: ScriptedStream, **told: Outcome[bytes]) -> None:
    """Begin a stream, and tell outcomes with the first comment."""
    await stream.say(BEGUN, *(write_event(id, what) for id, what in told.items()))


async def test_a_watch_tells_in_its_order_what_is_settled_before() -> None:
    """In whatever order it was told, and its stream is left once all is told."""
    told: list[Any] = []
    async with serving() as waits, anyio.create_task_group() as group:
        stream: list[ScriptedStream] = []

        async def serve() -> None:
            stream.append(await waits.asked(0))
            await tell_all(stream[0], c=ONE, a=TWO)

        group.start_soon(serve)
        async with waits.backend.watch(("a", "b", "c")) as watch:
            told += [await anext(watch), await anext(watch)]
            await stream[0].tell("b", ONE)
            await stream[0].is_left.wait()
            told += [one async for one in watch]
    assert [("a", TWO), ("c", ONE), ("b", ONE)] == told


async def test_a_watch_goes_on_without_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut, and then there are none any more: what is left is waited for alone."""
    monkeypatch.setattr(_stream, "uniform", lambda low, high: 0)
    async with serving() as waits, anyio.create_task_group() as group:
        group.start_soon(waits.begun)
        async with waits.backend.watch(("a", "b")) as watch:
            waits.server.has_streams = False
            await waits.server.asked_streams[0].cut()
            for id in ("a", "b"):
                await waits.server.resolve_waited(id, b"1")
            told = {one async for one in watch}
    assert {("a", ONE), ("b", ONE)} == told


async def test_a_server_nobody_heard_of_is_asked_first() -> None:
    """What it can answer at once, so that a wrong port is not taken for pending."""
    with anyio.fail_after(60):
        async with Server(has_streams=True).serving() as server:
            backend = HttpBackend(server.url)
            async with anyio.create_task_group() as group:
                group.start_soon(backend.wait, "a")
                await server.until(lambda server: len(server.paths) == 2)
                group.cancel_scope.cancel()
            await backend.aclose()
    assert ["/promise/peek", "/watch"] == server.paths


@contextmanager
def numbered(number: int) -> Iterator[None]:
    """Let what a block begins be of an operation."""
    token = UNDER_WAY.set(number)
    yield
    UNDER_WAY.reset(token)


async def test_observers_are_told_of_all_who_share_a_stream() -> None:
    """It ends for them with its head; what it does not say is asked for by its own."""
    watching = Watching()
    with observing(watching):
        async with serving() as waits:
            for number, id in enumerate("abc"):
                with numbered(number):
                    waits.wait(id)
            stream = await waits.begun()
            await eventually(lambda: watching.ended("/watch") is not None)
            assert {0, 1, 2} == set(watching.asked("/watch").operations)
            await waits.server.backend.settle("c", TWO)
            await stream.tell("c", None)
            await until_kept(waits, 1)

    assert (2,) == watching.asked("/promise/peek").operations
    end = watching.ended("/watch")
    assert end is not None
    assert (200, None, False) == (end.status, end.error, end.cancelled)


async def test_a_stream_that_does_not_begin_is_a_failure_for_observers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody has left it."""
    monkeypatch.setattr(_stream_gate, "_LATE_SECONDS", 0.05)
    watching = Watching()
    with observing(watching):
        async with serving() as waits:
            waits.wait("a")
            await waits.asked(0)
            await eventually(lambda: watching.ended("/watch") is not None)

    end = watching.ended("/watch")
    assert end is not None
    assert isinstance(end.error, BackendUnavailableError)
    assert not end.cancelled
