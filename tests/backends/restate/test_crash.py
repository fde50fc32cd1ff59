"""Crashes of Restate and of our service, while a hundred clients wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex

import anyio
import pytest
from anyio import to_thread

import dp_core as dp
from dp_backends.http import _peer
from dp_backends.http._waits import _long_poll
from support.restate import (
    JSON,
    RestateServer,
    ServiceProcess,
    ask,
    eventually,
    pending_ask,
)

CLIENTS = 100
ACKNOWLEDGED = 40


@pytest.fixture
def anyio_backend() -> str:
    """Run once: the tested code is in other processes, and slow."""
    return "asyncio"


@pytest.fixture
def processes(
    program: None, tmp_path: Path
) -> Iterator[tuple[RestateServer, ServiceProcess]]:
    """Return a server and a service that may be killed."""
    restate = RestateServer(tmp_path / "restate")
    service = ServiceProcess.of_promises(restate)
    restate.start()
    try:
        restate.wait_until_ready()
        service.start()
        yield restate, service
    finally:
        service.stop()
        restate.kill()


def waiting(restate: RestateServer) -> int:
    """Return the number of waiters of all promises."""
    (row,) = restate.query(
        "SELECT count(1) AS waiters FROM state WHERE key LIKE 'waiter/%'"
    )
    return int(row["waiters"])


async def test_after_kills_all_waiters_get_the_value(
    processes: tuple[RestateServer, ServiceProcess],
) -> None:
    """Service and server are killed with SIGKILL; nothing acknowledged is lost."""
    restate, service = processes
    url = f"{restate.url}?retry=60"
    ids = [token_hex(8) for _ in range(5)]
    kept = {f"kept-{n}": n for n in range(ACKNOWLEDGED)}
    values: list[str] = []

    async def wait(client: dp.Promises, id: str) -> None:
        values.append(await client.promise(id, str).get())

    async def resolve(client: dp.Promises, id: str) -> None:
        await client.promise(id).resolve(f"value of {id}")

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(dp.connect(url)) for _ in range(CLIENTS)
        ]
        async with anyio.create_task_group() as settling:
            for client, (id, n) in zip(clients, kept.items(), strict=False):
                settling.start_soon(client.promise(id).resolve, n)
        async with anyio.create_task_group() as waits:
            for n, client in enumerate(clients):
                waits.start_soon(wait, client, ids[n % len(ids)])
            await to_thread.run_sync(
                eventually, lambda: waiting(restate) == CLIENTS, "all wait"
            )

            service.kill()
            waits.start_soon(resolve, clients[0], ids[0])
            await to_thread.run_sync(
                eventually,
                lambda: bool(restate.invocations(f"promises/{ids[0]}/resolve")),
                "Restate has accepted the call",
            )
            await to_thread.run_sync(service.start)
            await clients[1].promise(ids[0]).get()
            restate.kill()
            restate.start()
            await to_thread.run_sync(restate.wait_until_ready)
            service.kill()
            restate.kill()
            restate.start()
            await to_thread.run_sync(restate.wait_until_ready)
            await to_thread.run_sync(service.start)
            for id in ids:
                await resolve(clients[0], id)

        assert sorted(values) == sorted(f"value of {id}" for id in ids * 20)
        for id, n in kept.items():
            assert dp.Resolved(n) == await clients[0].promise(id).peek()
    await to_thread.run_sync(
        eventually, lambda: waiting(restate) == 0, "no waiter is left"
    )


async def until_waiting(restate: RestateServer, id: str) -> None:
    """Wait until a promise has a waiter."""
    await to_thread.run_sync(eventually, lambda: restate.waiters(id) > 0, "it waits")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_waiter_outlives_the_deployment_where_it_began(
    processes: tuple[RestateServer, ServiceProcess],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """
    A wait stays with the deployment that began it, also when that is gone for good.

    It is lost, and the client asks anew, from its first wait on, whether the promise
    is settled before or after the deployment goes.
    """
    monkeypatch.setattr(_peer, "_RESTATE_HOLD_SECONDS", (1, 2))
    monkeypatch.setattr(_long_poll, "_OVERDUE_SECONDS", 1)
    restate, service = processes
    other, id = ServiceProcess.of_promises(restate), token_hex(8)
    got: list[object] = []

    async def wait(promise: dp.DurablePromise[object]) -> None:
        got.append(await promise.get())

    try:
        async with dp.connect(restate.url) as promises:
            promise = promises.promise(id)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, promise)
                await until_waiting(restate, id)
                service.suspend()
                if when == "before":
                    await to_thread.run_sync(other.start)
                    await promise.resolve("told")
                service.kill()
                if when == "after":
                    await to_thread.run_sync(other.start)
                    await promise.resolve("told")
    finally:
        other.stop()

    assert ["told"] == got


async def test_what_stayed_with_a_dead_deployment_can_be_moved(
    processes: tuple[RestateServer, ServiceProcess],
) -> None:
    """Restate's administration gives a deployment another address; its waits go on."""
    restate, service = processes
    other, id = ServiceProcess.of_promises(restate), token_hex(8)
    with pending_ask(
        restate.node.ingress, "/promise/await", {"promiseId": id}
    ) as waiting:
        await until_waiting(restate, id)
        try:
            said = await to_thread.run_sync(other.start)
            service.kill()
            ask(restate.node.ingress, f"/promises/{id}/resolve", 1)
            (left,) = restate.query(
                "SELECT pinned_deployment_id AS deployment FROM sys_invocation "
                "WHERE target = 'promise/await' AND status <> 'completed'"
            )
            moved = ask(
                restate.node.admin,
                f"/deployments/{left['deployment']}",
                {"uri": said.split()[0]},
                JSON,
                method="PATCH",
            )
            told = waiting().json()
        finally:
            other.stop()

    assert 200 == moved.status
    assert {"value": 1} == told
