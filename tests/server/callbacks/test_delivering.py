"""Callbacks are made, signed, repeated and ended, on stores of each kind."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

import dp_core as dp
from dp_core._access import webhook_keys
from dp_core._clock import now
from dp_core.testing import DeadlineClock
from support.server.calling import SECRET, calling, deliveries, until
from support.server.receivers import Received, receiving

pytestmark = pytest.mark.usefixtures("at_once")

HOUR = timedelta(hours=1)


def verified(request: Received, *secrets: str) -> Any:
    """Return the body of a callback that the library of the convention accepts."""
    (key,) = webhook_keys(secrets or [SECRET])
    # It compares the time of the attempt with the system's.
    return Webhook(key).verify(request.body, dict(request.headers))


async def test_a_settled_promise_is_told(url: str) -> None:
    """The receiver gets what is known of it, once, signed; and the store says so."""
    with receiving() as receiver:
        async with calling(url) as calls:
            promise = await calls.promises.create(
                "a", tags={"kind": "t"}, data={"n": 1}, notify=[receiver.url]
            )
            await promise.resolve({"x": "ä"}, by="alice")
            request = await calls.next(receiver)
            told = verified(request)
            (outcome,) = await calls.finished("a")
            (delivery,) = await deliveries(calls.promises)

    assert ("a", "resolved", {"x": "ä"}) == (
        told["promiseId"],
        told["state"],
        told["value"],
    )
    assert ("alice", {"kind": "t"}, {"n": 1}, False) == (
        told["settledBy"],
        told["tags"],
        told["data"],
        told["expired"],
    )
    assert "notify" not in told
    assert delivery.id == request.headers["webhook-id"]
    assert str(len(request.body)) == request.headers["content-length"]
    assert "application/json" == request.headers["content-type"]
    assert dp.Resolved(b'{"status":204}') == outcome
    assert receiver.received.empty()


async def test_each_url_is_told(url: str) -> None:
    """Several receivers of one promise have deliveries of their own."""
    with receiving() as one, receiving() as other:
        async with calling(url) as calls:
            promise = await calls.promises.create("a", notify=[one.url, other.url])
            await promise.reject("no")
            ids = {
                (await calls.next(each)).headers["webhook-id"] for each in (one, other)
            }
            await calls.finished("a")

    assert 2 == len(ids)


async def test_a_promise_that_was_settled_before_is_told(url: str) -> None:
    """A settle and a create with callbacks commute."""
    with receiving() as receiver:
        async with calling(url) as calls:
            await calls.promises.promise("a").resolve(1)
            await calls.promises.create("a", notify=[receiver.url])

            assert 1 == verified(await calls.next(receiver))["value"]


async def test_a_deadline_is_told(url: str) -> None:
    """What settles by its deadline is told as what anybody settles."""
    with receiving() as receiver:
        async with calling(url) as calls:
            await calls.promises.create(
                "a", deadline=timedelta(milliseconds=20), notify=[receiver.url]
            )
            told = verified(await calls.next(receiver))

    assert ("rejected", "deadline passed", True) == (
        told["state"],
        told["error"],
        told["expired"],
    )


async def test_what_another_process_makes_is_found(url: str) -> None:
    """A promise that this server did not create is told all the same."""
    if url.startswith("memory"):
        pytest.skip("other processes have another memory")
    with receiving() as receiver:
        async with calling(url) as calls, dp.connect(url) as elsewhere:
            promise = await elsewhere.create("a", notify=[receiver.url])
            await promise.resolve(1)

            assert 1 == verified(await calls.next(receiver))["value"]


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 302])
async def test_a_failure_is_tried_again(memory: str, status: int) -> None:
    """After any other answer it comes again, by the same id, signed anew."""
    with receiving(status, 200) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            first, second = [await calls.next(receiver) for _ in "12"]
            (outcome,) = await calls.finished("a")

    verified(first)
    verified(second)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] < second.headers["webhook-timestamp"]
    assert dp.Resolved(b'{"status":200}') == outcome


async def test_gone_ends_it(url: str) -> None:
    """A receiver that answers 410 is not asked again, and the store says why."""
    with receiving(410) as receiver:
        async with calling(url) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            (outcome,) = await calls.finished("a")

    assert dp.Rejected("the receiver wants no more: status 410") == outcome


async def test_a_receiver_that_was_away_for_an_hour(
    memory: str, clock: DeadlineClock
) -> None:
    """It is told once it is back; the pauses until then have grown."""
    with receiving() as receiver:
        port = receiver.port
    async with calling(memory) as calls:
        promise = await calls.promises.create("a", notify=[receiver.url])
        await promise.resolve(1)
        (job,) = calls.callbacks._jobs
        for failures in range(1, 8):
            await until(lambda n=failures: job.failures >= n and not job.is_running)
            clock.advance(timedelta(minutes=10))
        with receiving(port=port) as back:
            clock.advance(timedelta(minutes=10))
            request = await calls.next(back)
            await calls.finished("a")

    assert "a" == request.json()["promiseId"]


async def test_it_is_given_up_after_three_days(
    memory: str, clock: DeadlineClock
) -> None:
    """A receiver that fails for so long is not asked again, and the store says so."""
    with receiving(500) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            (job,) = calls.callbacks._jobs
            await until(lambda: job.failures and not job.is_running)
            clock.advance(timedelta(days=2, hours=23))
            await until(lambda: job.failures == 2 and not job.is_running)
            clock.advance(timedelta(hours=2))
            (outcome,) = await calls.finished("a")

    assert dp.Rejected("given up after three days: status 500") == outcome


async def test_retry_after_is_waited_for(memory: str, clock: DeadlineClock) -> None:
    """A receiver that names a time is not asked before it."""
    answers = [(503, {"Retry-After": "1800"}), (204, {})]
    with receiving(answer=lambda request: answers.pop(0)) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            (job,) = calls.callbacks._jobs
            await until(lambda: job.failures and not job.is_running)
            pause = calls.callbacks._queue.pause(clock.now.timestamp())
            clock.advance(timedelta(seconds=1800))
            await calls.finished("a")

    assert pause is not None
    assert 1700 < pause <= 1800


@pytest.mark.slow
async def test_silent_ports_of_one_host_hold_up_no_other(memory: str) -> None:
    """Where a hundred of them keep attempts waiting, another host is told meanwhile."""
    with ExitStack() as stack:
        # They are connected to, and say nothing.
        silent = [
            stack.enter_context(socket.create_server(("127.0.0.2", 0)))
            for _ in range(100)
        ]
        receiver = stack.enter_context(receiving())
        async with calling(memory, "127.0.0.1", "127.0.0.2") as calls:
            for n in range(0, len(silent), 10):
                ports = [each.getsockname()[1] for each in silent[n : n + 10]]
                urls = [f"http://127.0.0.2:{port}/" for port in ports]
                await (await calls.promises.create(f"s{n}", notify=urls)).resolve(1)
            await until(lambda: len(silent) == calls.callbacks.pending)
            waiting = list(calls.callbacks._jobs)
            # All are due, and as many as may have begun.
            for each in waiting:
                calls.callbacks._told(each.delivery.of)
            queue = calls.callbacks._queue
            await until(lambda: queue.pause(now().timestamp()) != 0.0)
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await calls.next(receiver)

            assert {0} == {each.failures for each in waiting}


@pytest.mark.slow
async def test_redirects_are_not_followed(memory: str) -> None:
    """What a receiver redirects to is never asked."""
    with receiving() as target:
        answer = (307, {"Location": target.url})
        with receiving(answer=lambda request: answer) as receiver:
            async with calling(memory) as calls:
                promise = await calls.promises.create("a", notify=[receiver.url])
                await promise.resolve(1)
                await calls.next(receiver)
                await calls.next(receiver)

        assert target.received.empty()


async def test_all_secrets_sign(memory: str) -> None:
    """Receivers with the key of any of them accept it, and with no other."""
    secrets = ["the one that is new, and long enough", SECRET]
    with receiving() as receiver:
        async with calling(memory, secrets=secrets) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            request = await calls.next(receiver)

    for secret in secrets:
        assert verified(request, secret)
    with pytest.raises(WebhookVerificationError):
        verified(request, "another one that is long enough, too")


async def test_a_changed_body_is_not_accepted(memory: str) -> None:
    """The signature is of the body, the id and the time."""
    with receiving() as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            request = await calls.next(receiver)

    forged = Received(
        request.path, request.headers, request.body.replace(b"1}", b"2}") + b" "
    )
    with pytest.raises(WebhookVerificationError):
        verified(forged)


async def test_without_a_secret_it_waits(
    memory: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that cannot sign sends nothing, says so, and ends nothing."""
    with receiving() as receiver, caplog.at_level(logging.WARNING):
        async with calling(memory, secrets=()) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await until(lambda: "no secret" in caplog.text)
            (delivery,) = await deliveries(calls.promises)

        assert dp.Pending() == delivery.state
        assert receiver.received.empty()


async def test_the_time_of_an_attempt_is_signed(memory: str) -> None:
    """A receiver can refuse what is old: an attempt is of now."""
    before = datetime.now(UTC).timestamp()
    with receiving() as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            request = await calls.next(receiver)

    after = datetime.now(UTC).timestamp()
    assert int(before) <= int(request.headers["webhook-timestamp"]) <= after
