"""
Calls whose answer was lost, repeated after somebody has disposed of the promise.

They are for the generation before, and nothing tells the server so: README, the
architecture and the table of states say what comes of it, and this is it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from secrets import token_hex

import anyio
import pytest

import dp_core as dp
from support.restate import eventually
from support.server.gateways import Gateway, gateway
from support.server_process import Server, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["memory", "file"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server in a process of its own."""
    store = f"{request.param}:{tmp_path_factory.mktemp('over') / 'promises'}"
    with running(store, allowed_hosts=["127.0.0.1"]) as server:
        yield server


@pytest.fixture
def between(server: Server) -> Iterator[Gateway]:
    """A proxy before it."""
    with gateway(server.port) as between:
        yield between


def dispose(server: Server, id: str, settle: object = None) -> None:
    """Dispose of a promise past the proxy; settle the next generation, if asked to."""
    assert 200 == server.ask(f"/promises/{id}/dispose").status
    if settle is not None:
        assert 200 == server.ask(f"/promises/{id}/resolve", json.dumps(settle)).status


async def test_a_settle_settles_the_next_generation(
    server: Server, between: Gateway
) -> None:
    """Its caller is told that it has won, which is true of that generation."""
    id = token_hex(8)
    async with dp.connect(between.url) as promises:
        between.meanwhile = lambda: dispose(server, id)
        told = await promises.promise(id).resolve("late")

        assert dp.Resolved("late") == told
        assert dp.Resolved("late") == await promises.promise(id).peek()


async def test_a_settle_is_told_what_the_next_generation_settled_to(
    server: Server, between: Gateway
) -> None:
    """It changes nothing there, where somebody else was first."""
    id = token_hex(8)
    async with dp.connect(between.url) as promises:
        between.meanwhile = lambda: dispose(server, id, settle="theirs")
        told = await promises.promise(id).reject("late")

        assert dp.Resolved("theirs") == told


async def test_a_create_gives_its_terms_to_the_next_generation(
    server: Server, between: Gateway
) -> None:
    """As a settle does; the first create of a generation is the one that counts."""
    id = token_hex(8)
    async with dp.connect(between.url) as promises:
        between.meanwhile = lambda: dispose(server, id)
        promise = await promises.create(id, tags={"of": "the first"})
        info = await promise.info()

    assert dp.Pending() == info.state
    assert info.terms is not None
    assert {"of": "the first"} == info.terms.tags


async def test_a_waiter_gets_the_outcome_of_the_next_generation(
    server: Server, between: Gateway
) -> None:
    """It was cut off when somebody disposed of its promise, and heard nothing of it."""
    id = token_hex(8)
    got: list[object] = []
    async with dp.connect(between.url) as promises:

        async def wait() -> None:
            got.append(await promises.promise(id).get())

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.to_thread.run_sync(until_waited_for, server, id)
                between.cut(lambda: dispose(server, id, settle="theirs"))
    assert ["theirs"] == got


async def test_a_dispose_is_not_repeated(server: Server, between: Gateway) -> None:
    """Its caller is told that it is not known, and the next generation stays."""
    id = token_hex(8)
    async with dp.connect(between.url) as promises:
        await promises.promise(id).resolve("ours")
        between.meanwhile = lambda: dispose(server, id, settle="theirs")
        with pytest.raises(dp.OutcomeUnknownError, match="look before you repeat it"):
            await promises.promise(id).dispose()

        assert dp.Resolved("theirs") == await promises.promise(id).peek()


def test_the_program_does_the_same(server: Server, between: Gateway) -> None:
    """`dp resolve` prints what stands, without a word of what came in between."""
    id = token_hex(8)
    between.meanwhile = lambda: dispose(server, id, settle="theirs")
    command = [sys.executable, "-m", "dp_core", "resolve", "--url", between.url]
    done = subprocess.run(
        [*command, id, '"late"'], capture_output=True, text=True, check=False
    )

    assert "theirs" in done.stdout + done.stderr, done
    assert {"value": "theirs"} == server.ask(f"/promises/{id}/peek").json()


def until_waited_for(server: Server, id: str) -> None:
    """Return when a request waits at the server."""
    eventually(
        lambda: (
            "\ndp_waiters 0.0\n"
            not in server.ask("/metrics", method="GET").body.decode()
        ),
        f"somebody waits for {id}",
    )
