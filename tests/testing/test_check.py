"""`check_backend`: its verdicts, its reasons, and what it is given and costs."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from textwrap import dedent

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dp_core import (
    Backend,
    NotSupportedError,
    Outcome,
    Pending,
    PromiseInfo,
    Query,
    Rejected,
    Resolved,
    connect,
)
from dp_core.backend import Page
from dp_core.testing import LAWS, ConformanceError, Law, Report, check_backend
from dp_core.testing.kit import LawContext, shown
from mutants.contract.registered import Registered, RegistryStore
from support.core.kit import QUICK, Store, verdict


def itself(store: Backend) -> Backend:
    """Return a store, as a handle of its own."""
    return store


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

    kept = {"shared", "terms", "listing", "watch"}
    assert {n for n, law in LAWS.items() if law.needs <= kept} == set(report.passed)
    assert (7, 3) == (report.seed, report.histories)
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


async def test_a_store_without_terms_is_told_what_was_not_judged() -> None:
    """A backend that keeps outcomes only passes; the verdict names what it left out."""
    names = ["first-completion-wins", "first-terms-stand", "terms-come-back"]
    report = await check_backend(
        Store, durable=False, shared=False, laws=[LAWS[name] for name in names]
    )

    assert ("first-completion-wins",) == report.passed
    assert (
        "skipped first-terms-stand, terms-come-back: the store keeps no terms (terms)"
    ) == str(report).splitlines()[0]


async def test_a_store_that_cannot_be_listed_is_judged_by_its_terms() -> None:
    """Its `list` raises `NotSupportedError`: only the laws of listing are left out."""

    class Unlisted(Registered):
        async def list(self, query: Query, after: str | None, limit: int) -> Page:
            raise NotSupportedError("no list")

    store = RegistryStore()
    names = ["cursors-go-on", "deadlines-settle-who-is-listed", "info-is-complete"]
    report = await check_backend(
        lambda: Unlisted(store),
        durable=False,
        shared=True,
        laws=[LAWS[name] for name in names],
    )

    assert ("info-is-complete",) == report.passed
    assert [(n, "the store cannot be listed (listing)") for n in names[:2]] == [
        *report.skipped
    ]


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


def test_long_outcomes_are_shortened() -> None:
    """A megabyte of value does not become a megabyte of report."""
    assert len(shown(Resolved(b"x" * 2**20))) < 80
    assert len(shown(Rejected("x" * 2**20))) < 80


def test_a_page_is_shown_by_its_first_promises() -> None:
    """A page of a thousand is a line of a report."""
    infos = tuple(PromiseInfo(f"p{n}", Pending()) for n in range(100))
    few, many = Page(infos[:2], None), Page(infos, "17")

    assert "Page(['p0', 'p1'], after=None)" == shown(few)
    assert "p7" in shown(many)
    assert "100 promises" in shown(many)
    assert len(shown(many)) < 200
