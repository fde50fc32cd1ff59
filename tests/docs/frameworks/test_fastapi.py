"""The FastAPI app that waits for callbacks: two servers on one store, and kills."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import dp_core as dp
from support.docs.programs import seen, served, state, until
from support.server_process import Answer, Server

PAID = {"amount": 25, "currency": "EUR"}
WORDS = ("uvicorn", "fastapi_callback:app", "--port", "0", "--no-access-log")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of all servers of this module."""
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def url(place: Path) -> str:
    """Return the URL of their store."""
    return f"file:{place}/promises"


@pytest.fixture(scope="module")
def app(place: Path, url: str) -> Iterator[Server]:
    """Run one of them."""
    with served(*WORDS, cwd=place, DP_URL=url) as server:
        yield server


def pay(server: Server, order: str, wait: float = 25) -> Answer:
    """Ask for a payment, as a browser does."""
    return server.ask(f"/orders/{order}?wait={wait}", method="PUT")


def call_back(server: Server, order: str, body: Any) -> Answer:
    """Do what the provider does."""
    return server.ask(f"/callbacks/{order}", json.dumps(body))


def test_a_callback_at_another_worker_ends_the_wait_of_a_killed_one(
    app: Server, place: Path, url: str
) -> None:
    """A waiting request gets what another process was told; so does who asks again."""
    with ThreadPoolExecutor() as threads:
        with served(*WORDS, cwd=place, DP_URL=url) as other:
            lost = threads.submit(pay, other, "lost")
            until(lambda: seen(url, "payment-lost"))
            other.process.kill()
            with pytest.raises(ConnectionError):
                lost.result()
        waiting = threads.submit(pay, app, "kept")
        until(lambda: seen(url, "payment-kept"))
        with served(*WORDS, cwd=place, DP_URL=url) as other:
            told = [call_back(other, order, PAID).json() for order in ("lost", "kept")]
            again = pay(other, "lost")
        kept = waiting.result()

    assert [{"accepted": True}] * 2 == told
    assert [(200, PAID)] * 2 == [(got.status, got.json()) for got in (kept, again)]


def test_who_waited_long_enough_asks_again(app: Server, url: str) -> None:
    """202 says when; the wait changes nothing, and the first deadline stands."""
    first, second = (pay(app, "slow", 0) for _ in range(2))

    assert [202, 202] == [first.status, second.status]
    assert ("1", {"waiting_for": "slow"}) == (
        first.headers["retry-after"],
        second.json(),
    )
    assert dp.Pending() == state(url, "payment-slow")


def test_a_client_that_goes_away_changes_nothing(app: Server, url: str) -> None:
    """The callback comes all the same, and the next request has it."""
    connection = app.connect()
    connection.request("PUT", "/orders/left?wait=25")
    until(lambda: seen(url, "payment-left"))
    connection.close()

    assert {"accepted": True} == call_back(app, "left", PAID).json()
    assert (200, PAID) == ((got := pay(app, "left")).status, got.json())


def test_only_the_first_callback_counts(app: Server) -> None:
    """The same one again is fine; another amount is told that it came too late."""
    pay(app, "twice", 0)
    other = {"amount": 99, "currency": "EUR"}

    told = [call_back(app, "twice", body).json() for body in (PAID, PAID, other)]

    assert [{"accepted": yes} for yes in (True, True, False)] == told
    assert PAID == pay(app, "twice").json()


def test_a_callback_after_the_deadline_is_too_late(app: Server, url: str) -> None:
    """Whoever asks is told that it failed, before and after the late callback."""

    async def over() -> None:
        async with dp.connect(url) as promises:
            await promises.create(
                "payment-late", deadline=timedelta(0), otherwise=dp.Rejected("late")
            )

    asyncio.run(over())
    before = pay(app, "late")
    told = call_back(app, "late", PAID).json()

    assert {"accepted": False} == told
    assert [(409, {"detail": "late"})] * 2 == [
        (got.status, got.json()) for got in (before, pay(app, "late"))
    ]


def test_what_is_no_payment_is_said(app: Server, url: str) -> None:
    """Somebody may settle it with anything: who waits is told what does not fit."""
    pay(app, "odd", 0)

    async def settle() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("payment-odd").resolve({"amount": "much"})

    asyncio.run(settle())
    got = pay(app, "odd")
    told = call_back(app, "odd", PAID)

    assert 409 == got.status
    assert (
        "'payment-odd' holds a value that is not a valid Payment"
        in got.json()["detail"]
    )
    assert (200, {"accepted": False}) == (told.status, told.json())


@pytest.mark.parametrize(
    ("order", "body", "status"),
    [
        ("unknown", PAID, 404),
        ("known", {"amount": "much", "currency": "EUR"}, 422),
        ("known", {"amount": 25, "currency": "GBP"}, 422),
        ("kn%0Aown", PAID, 422),
        ("k" * 65, PAID, 422),
    ],
)
def test_a_stranger_settles_nothing(
    app: Server, url: str, order: str, body: Any, status: int
) -> None:
    """A payment that nobody asked for, or a body of another form, is refused."""
    pay(app, "known", 0)

    assert status == call_back(app, order, body).status
    assert [dp.Pending()] * 2 == [
        state(url, f"payment-{id}") for id in ("unknown", "known")
    ]
