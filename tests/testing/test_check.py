"""`check_backend`: its verdicts, its reasons and its bounds."""

from __future__ import annotations

import inspect
import pickle
import resource
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_core import Backend, Outcome, Pending, Rejected, Resolved, State, connect
from dp_core.testing import (
    LAWS,
    ConformanceError,
    Effort,
    Law,
    Report,
    check_backend,
)
from dp_core.testing.kit import (
    CONTRACT,
    BackendCall,
    CallLog,
    ConformanceRun,
    Judge,
    LawContext,
    shown,
)
from dp_core.testing.laws.values import NUMBERS, TEXTS, VALUES
from dp_core.values import check_text, encode

QUICK = Effort(histories=2, crowd=16, volume=40, linger=0.05, patience=1.0)


class Store(Backend):
    """A small right backend for one event loop; subclasses break it."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome[bytes]] = {}
        self.changed = anyio.Event()

    async def peek(self, id: str) -> State[bytes]:
        return self.outcomes.get(id, Pending())  # type: ignore[return-value] # the union is one

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        stands = self.outcomes.setdefault(id, outcome)
        self.changed.set()
        self.changed = anyio.Event()
        return stands

    async def wait(self, id: str) -> Outcome[bytes]:
        while id not in self.outcomes:
            await self.changed.wait()
        return self.outcomes[id]

    async def dispose(self, id: str) -> None:
        self.outcomes.pop(id, None)

    async def aclose(self) -> None:
        pass


def itself(store: Backend) -> Backend:
    """Return a store, as a handle of its own."""
    return store


async def verdict(store: Backend, *names: str, effort: Effort = QUICK) -> Report:
    """Return the report on the laws *names* for a store, right or wrong."""
    laws = [LAWS[name] for name in names]
    try:
        return await check_backend(
            lambda: store, durable=True, shared=True, laws=laws, effort=effort, seed=1
        )
    except ConformanceError as error:
        return error.report


# Verdicts -------------------------------------------------------------------


async def test_a_right_backend_gets_a_report() -> None:
    """The report names every law that holds, the histories and the seed."""
    report = await check_backend(
        lambda: connect("memory:test-testing").backend,
        durable=False,
        shared=True,
        effort=QUICK,
        seed=7,
    )

    assert {n for n, law in LAWS.items() if law.needs <= {"shared"}} == set(
        report.passed
    )
    assert (7, 2) == (report.seed, report.histories)
    assert report.as_dict()["ok"] is True


async def test_every_broken_law_is_named_with_its_history() -> None:
    """The error gives the demand, the sentence of the contract and the observation."""

    class LastWins(Store):
        async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
            self.outcomes[id] = outcome
            return await super().settle(id, outcome)

    names = ["first-completion-wins", "racing-settlers-agree", "settle-is-atomic"]
    laws = [LAWS[name] for name in names]
    store = LastWins()

    with pytest.raises(ConformanceError) as caught:
        await check_backend(lambda: store, durable=True, shared=True, laws=laws)

    assert names == [violation.law for violation in caught.value.violations]
    first = caught.value.violations[0]
    assert first.reason.startswith("a.settle(")
    assert first.reason.endswith("gave Resolved(b'\"two\"'), not Resolved(b'1')")
    assert [": Pending()", ": Resolved(b'1')", ": Resolved(b'\"two\"')"] == [
        line[line.rindex(": ") :] for line in first.history
    ]
    for violation in caught.value.violations:
        for part in (violation.law, violation.sentence, violation.contract):
            assert part in str(caught.value)


async def test_the_error_travels() -> None:
    """The error survives pickling, with its report; it is an AssertionError."""
    report = await verdict(Store(), "disposed-waiters-are-told")
    error = pickle.loads(pickle.dumps(ConformanceError(report)))

    assert isinstance(error, AssertionError)
    assert report == error.report
    assert "disposed-waiters-are-told" in str(error)


async def test_each_law_is_told_before_it_is_tried() -> None:
    """With its number, how many there are, and its name; also those left out."""
    told: list[tuple[int, int, str]] = []
    name = "first-completion-wins"
    await check_backend(
        Store,
        durable=False,
        shared=False,
        laws=[LAWS["peek-never-blocks"], LAWS[name]],
        skip=[name],
        progress=lambda *now: told.append(now),
    )

    assert [(1, 2, "peek-never-blocks"), (2, 2, name)] == told


async def test_skipping_is_visible() -> None:
    """A law that was skipped is in the report, with the reason."""
    report = await check_backend(
        Store,
        durable=False,
        shared=False,
        laws=[LAWS["first-completion-wins"], LAWS["handles-see-each-other"]],
        skip=["first-completion-wins"],
    )

    assert () == report.passed
    assert ("first-completion-wins", "as asked") in report.skipped
    assert "skipped handles-see-each-other: the store is not said to be shared" in str(
        report
    )


async def test_a_law_that_needs_an_outage_says_so() -> None:
    """It is tried where somebody says how the store fails, else visibly skipped."""
    outages = []

    @asynccontextmanager
    async def outage() -> AsyncIterator[None]:
        outages.append("begins")
        yield
        outages.append("ends")

    law = LAWS["waits-outlive-an-outage"]
    for given in (None, outage):
        report = await check_backend(
            lambda: connect("memory:test-outage").backend,
            durable=False,
            shared=True,
            laws=[law],
            outage=given,
        )
        assert (given is not None) == (law.name in report.passed)
        assert (given is None) == ("nobody says how" in str(report))

    assert ["begins", "ends"] == outages


async def test_no_files_are_used_up_in_the_process_of_another_program() -> None:
    """Unless it is told that the process is its own, the law is visibly skipped."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = []

    class Looks(Store):
        async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
            seen.append(resource.getrlimit(resource.RLIMIT_NOFILE))
            return await super().settle(id, outcome)

    law = LAWS["waits-outlive-too-many-open-files"]
    for own_process in (False, True):
        store = Looks()
        report = await check_backend(
            partial(itself, store),
            durable=True,
            shared=True,
            laws=[LAWS["first-completion-wins"], law],
            own_process=own_process,
        )
        assert own_process == (law.name in report.passed)
        assert own_process == (set(seen) != {before})
        assert own_process != (f"skipped {law.name}: nobody says" in str(report))

    assert before == resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.mark.parametrize(
    ("closed", "opened"), [((), 0), ((0, 1, 2), 0), ((), 40), ((0, 41), 40)]
)
def test_the_kit_can_use_up_the_files(
    closed: tuple[int, ...], opened: int, tmp_path: Path
) -> None:
    """
    No file can be opened meanwhile, what is open works, and any opens afterwards.

    With all streams, without any, and with gaps among many numbers in use.
    """
    script = tmp_path / "script.py"
    script.write_text(
        dedent(f"""
            import errno, os, select, sys
            from dp_core.testing.kit import no_files_left

            for number in range({opened}):
                os.dup2(os.open(os.devnull, os.O_RDONLY), 100 + 2 * number)
            for number in {closed}:
                os.close(number)
            told = os.open({str(tmp_path / "told")!r}, os.O_CREAT | os.O_WRONLY)
            numbers = list(map(int, os.listdir("/dev/fd")))
            with no_files_left():
                for _ in range(3):
                    for make in (os.pipe, lambda: os.open(os.devnull, os.O_RDONLY)):
                        try:
                            make()
                        except OSError as error:
                            assert error.errno == errno.EMFILE
                        else:
                            raise AssertionError
                poll = select.poll()
                for number in numbers:
                    poll.register(number)
                poll.poll(0)
            os.pipe()
            os.write(told, b"all true")
        """)
    )
    subprocess.run([sys.executable, script], check=True, stdin=subprocess.DEVNULL)

    assert "all true" == (tmp_path / "told").read_text()


async def test_a_name_that_does_not_exist_is_refused() -> None:
    """Skipping a law that does not exist is an error that lists those that do."""
    with pytest.raises(ValueError, match=r"'no-law'.*first-completion-wins"):
        await check_backend(Store, durable=False, shared=False, skip=["no-law"])


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_every_law_spells_out_the_contract(law: Law) -> None:
    """Its sentence is one line, and the contract's is in `dp_core.backend`."""
    original = " ".join((inspect.getdoc(sys.modules["dp_core.backend"].Backend)
                         or "").split())  # fmt: skip
    for method in ("peek", "settle", "wait", "dispose", "aclose"):
        doc = inspect.getdoc(getattr(Backend, method)) or ""
        original += " " + " ".join(doc.split())

    assert law.contract in original
    assert law.contract in CONTRACT
    assert law.sentence.endswith(".")
    assert law.name == law.name.lower()
    assert " " not in law.name


def test_the_laws_are_sorted() -> None:
    """The table is sorted, and its keys are the names of the laws."""
    assert sorted(LAWS) == list(LAWS)
    assert [law.name for law in LAWS.values()] == list(LAWS)


def test_the_codec_lets_all_texts_through() -> None:
    """No law asks a backend for a value that it would never be given."""
    for text in TEXTS:
        assert text == check_text(text)
    for value in (*VALUES, *NUMBERS):
        assert encode(value) == check_text(encode(value))


# What it is given -----------------------------------------------------------


async def test_an_async_function_opens_too() -> None:
    """A function that opens a handle may be async."""
    store = Store()

    async def open_backend() -> Backend:
        await checkpoint()
        return store

    laws = [LAWS["first-completion-wins"]]
    report = await check_backend(open_backend, durable=True, shared=True, laws=laws)

    assert ("first-completion-wins",) == report.passed


async def test_a_store_that_does_not_open_breaks_the_law() -> None:
    """An error in opening a handle is reported like any other."""

    def open_backend() -> Backend:
        raise OSError("no such store")

    laws = [LAWS["first-completion-wins"]]
    with pytest.raises(ConformanceError, match="no such store"):
        await check_backend(open_backend, durable=True, shared=True, laws=laws)


# It never hangs -------------------------------------------------------------


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


async def test_the_law_that_all_need_is_tried_first() -> None:
    """The law about peeks comes first; the report is sorted by name."""
    order: list[str] = []

    def named(name: str) -> Law:
        async def note(context: LawContext) -> None:
            order.append(name)

        return Law(name, "It is tried.", "", note)

    laws = [named("first-completion-wins"), named("peek-never-blocks")]
    store = Store()
    report = await check_backend(lambda: store, durable=True, shared=True, laws=laws)

    assert ["peek-never-blocks", "first-completion-wins"] == order
    assert ("first-completion-wins", "peek-never-blocks") == report.passed


async def test_it_can_be_cancelled() -> None:
    """A run can be cancelled."""
    store = Deaf()
    with anyio.move_on_after(0.2) as scope:
        await verdict(store, "waiters-are-woken", effort=Effort(patience=600))

    assert scope.cancelled_caught


def test_it_works_in_any_thread() -> None:
    """Outside of the main thread it works, without the watchdog."""
    found: list[Report] = []

    async def check() -> None:
        found.append(await verdict(Store(), "first-completion-wins"))

    thread = threading.Thread(target=anyio.run, args=[check])
    thread.start()
    thread.join()

    assert ("first-completion-wins",) == found[0].passed


# What it costs --------------------------------------------------------------


def test_it_needs_no_pytest(tmp_path: Path) -> None:
    """Importing and running the kit loads neither pytest nor hypothesis nor trio."""
    script = tmp_path / "script.py"
    script.write_text(
        dedent("""
            import sys
            import anyio
            import dp_core
            from dp_core.testing import LAWS, check_backend

            anyio.run(lambda: check_backend(
                lambda: dp_core.connect("memory:").backend, durable=False, shared=True,
                laws=[LAWS["first-completion-wins"]],
            ))
            print(sorted({"pytest", "hypothesis", "trio"} & set(sys.modules)))
        """)
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False
    )

    assert ("[]\n", "") == (done.stdout, done.stderr)


async def test_the_same_seed_makes_the_same_choices() -> None:
    """The same seed makes the clients make the same calls."""

    class Written(Store):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[tuple[str, str]] = []

        async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
            self.calls.append((id.partition("-")[2], str(outcome)))
            return await super().settle(id, outcome)

    stores = [Written(), Written()]
    for store in stores:
        await verdict(store, "histories-are-linearizable")

    assert len(stores[0].calls) > 10
    # In the same order only on asyncio: trio draws lots.
    assert sorted(stores[0].calls) == sorted(stores[1].calls)


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


def test_long_outcomes_are_shortened() -> None:
    """A megabyte of value does not become a megabyte of report."""
    assert len(shown(Resolved(b"x" * 2**20))) < 80
    assert len(shown(Rejected("x" * 2**20))) < 80
