"""`check_backend` returns, however the calls of a backend hang, block or dawdle."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_core import Outcome, Pending, Resolved, State
from dp_core.testing import ConformanceError, Effort, Law, check_backend
from dp_core.testing.kit import BackendCall, CallLog, ConformanceRun, Judge, LawContext
from support.core.kit import QUICK, Store, verdict


class Deaf(Store):
    """A wait that never ends, in one way or another."""

    how = "sleeps"

    async def wait(self, id: str) -> Outcome[bytes]:
        match self.how:
            case "sleeps":
                await anyio.sleep_forever()
            case "is shielded":
                with anyio.CancelScope(shield=True):
                    await super().wait(id)
                await anyio.sleep_forever()
            case "swallows":
                cancelled = anyio.get_cancelled_exc_class()
                while True:
                    with suppress(cancelled):
                        await anyio.sleep_forever()
            case "blocks":
                threading.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize("how", ["sleeps", "is shielded", "swallows", "blocks"])
async def test_a_wait_that_never_ends_gets_a_verdict(how: str) -> None:
    """The kit returns a verdict on a wait that ignores cancellation, or blocks."""
    store = Deaf()
    store.how = how
    report = await verdict(store, "waiters-are-woken", "late-waiters-are-told")

    assert {"waiters-are-woken", "late-waiters-are-told"} == {
        violation.law for violation in report.violations
    }


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_wait_that_swallows_everything_is_abandoned(
    loop: str, tmp_path: Path
) -> None:
    """A wait that swallows every exception, GeneratorExit too, is left where it is."""
    script = tmp_path / "script.py"
    script.write_text(
        dedent(f"""
            import sys
            import anyio
            from dp_core import Backend, Pending
            from dp_core.testing import LAWS, ConformanceError, Effort, check_backend

            class Stubborn(Backend):
                async def wait(self, id):
                    while True:
                        try:
                            await anyio.sleep_forever()
                        except BaseException:
                            continue

                async def peek(self, id): return Pending()
                async def settle(self, id, outcome): return outcome
                async def dispose(self, id): pass
                async def aclose(self): pass

            async def main():
                try:
                    await check_backend(
                        Stubborn, durable=True, shared=True,
                        effort=Effort(patience=0.5),
                        laws=[LAWS["late-waiters-are-told"]],
                    )
                except ConformanceError as error:
                    print(error.violations[0].law)

            anyio.run(main, backend="{loop}")
        """)
    )
    command = [sys.executable, script]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    )

    assert "late-waiters-are-told\n" == done.stdout


async def test_a_blocked_loop_is_the_reason() -> None:
    """The reason says that a call blocked the event loop."""
    store = Deaf()
    store.how = "blocks"
    report = await verdict(store, "waiters-are-woken")

    assert "blocked the event loop" in report.violations[0].reason


async def test_a_cancellation_that_nobody_asked_for_is_an_error() -> None:
    """A wait that raises the event loop's own cancellation does not end the kit."""

    class Cancels(Store):
        async def wait(self, id: str) -> Outcome[bytes]:
            if anyio.get_cancelled_exc_class().__module__.startswith("asyncio"):
                raise anyio.get_cancelled_exc_class()
            raise BaseException("no cancellation, but as bad")  # noqa: TRY002 - the mistake

    report = await verdict(Cancels(), "late-waiters-are-told")

    assert ["late-waiters-are-told"] == [v.law for v in report.violations]


async def test_a_slow_backend_is_not_blamed_after_a_verdict() -> None:
    """After a verdict calls get less time, but as much as they needed before."""

    class Sluggish(Store):
        async def wait(self, id: str) -> Outcome[bytes]:
            await anyio.sleep(0.7)
            return await super().wait(id)

    async def hold(context: LawContext) -> None:
        """Waits end."""
        a = await context.open()
        for id in (context.id(), context.id()):
            waiting = a.wait(id)
            await a.settle(id, Resolved(b"1")).ends()
            await waiting.ends()

    async def break_down(context: LawContext) -> None:
        """Nothing is right."""
        raise context.broken("as agreed")

    laws = [
        Law("first", "Waits end.", "", hold),
        Law("second", "Nothing is right.", "", break_down),
        Law("third", "Waits end.", "", hold),
    ]
    store = Sluggish()
    with pytest.raises(ConformanceError) as caught:
        await check_backend(lambda: store, durable=True, shared=True, laws=laws)

    assert ["second"] == [law.law for law in caught.value.violations]


@pytest.mark.parametrize("slow", ["settle", "wait", "peek", "dispose"])
async def test_no_law_is_named_because_a_call_takes_its_time(slow: str) -> None:
    """A call that is slow only after the verdict has all its time in the end."""

    class Starved(Store):
        starved = False

    async def starve(self: Starved, *arguments: Any) -> Any:
        if self.starved:
            await anyio.sleep(0.8)
        return await getattr(Store, slow)(self, *arguments)

    setattr(Starved, slow, starve)
    store = Starved()

    async def use(context: LawContext) -> None:
        """Every call has a result."""
        a, id = await context.open(), context.id()
        for call in (
            lambda: a.settle(id, Resolved(b"1")),
            lambda: a.wait(id),
            lambda: a.peek(id),
            lambda: a.dispose(id),
        ):
            await call().ends()

    async def break_down(context: LawContext) -> None:
        """Nothing is right."""
        store.starved = True
        raise context.broken("as agreed")

    async def hang(context: LawContext) -> None:
        """All waits end, and one does not."""
        a = await context.open()
        await a.wait(context.id()).ends()

    laws = [
        Law("first", "Calls end.", "", use),
        Law("second", "Nothing is right.", "", break_down),
        Law("third", "Calls end.", "", use),
        Law("fourth", "Waits end.", "", hang),
    ]
    with pytest.raises(ConformanceError) as caught:
        await check_backend(
            lambda: store,
            durable=True,
            shared=True,
            laws=laws,
            effort=Effort(patience=2.0),
        )

    report = caught.value.report
    assert ["fourth", "second"] == [law.law for law in report.violations]
    assert "within 2 s" in report.violations[0].reason
    assert ("first", "third") == report.passed


class OneAtATime(Store):
    """Calls take a lock; a wait comes to it later than the kit looks for that."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        async with self.lock:
            stands = await super().settle(id, outcome)
        await anyio.sleep(0.025)
        return stands

    async def wait(self, id: str) -> Outcome[bytes]:
        await anyio.sleep(0.04)
        async with self.lock:
            await checkpoint()
        return await super().wait(id)


async def test_a_call_that_is_held_late_may_hold_a_lock() -> None:
    """No other settle is asked for then, as it would wait for the kit itself."""
    report = await verdict(OneAtATime(), "no-wake-up-is-lost")
    assert () == report.violations


async def test_many_calls_that_take_their_turns_block_nobody() -> None:
    """A crowd that keeps the loop busy, each for a moment, is not one that hangs."""

    class Busy(Store):
        async def peek(self, id: str) -> State[bytes]:
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass
            return await super().peek(id)

    async def crowd(context: LawContext) -> None:
        """Peeks end."""
        a = await context.open()
        for call in [a.peek(context.id()) for _ in range(100)]:
            await call.ends()

    store = Busy()
    report = await check_backend(
        lambda: store,
        durable=True,
        shared=True,
        laws=[Law("crowd", "Peeks end.", "", crowd)],
        effort=Effort(patience=0.5),
    )

    assert ("crowd",) == report.passed


async def test_a_verdict_does_not_wait_for_the_other_laws() -> None:
    """Once a law is broken, the others have a limit, and the report says so."""

    async def break_down(context: LawContext) -> None:
        raise context.broken("as agreed")

    async def dawdle(context: LawContext) -> None:
        await anyio.sleep(5)

    laws = [Law("first", "No.", "", break_down), Law("second", "Slow.", "", dawdle)]
    store = Store()
    run = ConformanceRun(
        lambda: store, durable=True, shared=True, seed=1, effort=QUICK, patience=1.0
    )
    judge = Judge(run, naming=0.2)
    await judge.try_all(laws)

    assert ["first"] == [violation.law for violation in judge.report().violations]
    assert (("second", "another law is broken, and time is over"),) == (
        judge.report().skipped
    )


async def test_it_can_be_cancelled() -> None:
    """A run can be cancelled."""
    store = Deaf()
    with anyio.move_on_after(0.2) as scope:
        await verdict(store, "waiters-are-woken", effort=Effort(patience=600))

    assert scope.cancelled_caught


def test_a_stopped_process_does_not_count_as_a_hang() -> None:
    """Time in which the event loop could not turn does not count."""

    async def check() -> bool:
        call = BackendCall(CallLog(0.5), "a", "peek", id="x")

        async def answer() -> Pending:
            for _ in range(3):
                await anyio.sleep(0.01)
                time.sleep(0.4)  # noqa: ASYNC251 - the machine is busy
            return Pending()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.run, answer)
            return await call.over_within(0.5)

    assert anyio.run(check)
