"""The fixture `promises`, in the tests of people who have the package installed."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import anyio
import pytest

import dp_core as dp
import dp_core.testing

pytest_plugins = ["pytester"]

dp_core.testing.DeadlineClock()
anyio.run(dp.connect("memory:imported").promise("x").peek, backend="trio")
for _url in ("file:x", "sqlite:x"):
    dp.connect(_url)
# pytester forgets what its own runs import, and would import it anew for each of them.

ALONE: Final = (
    "-p",
    "no:asyncio",
    "-p",
    "no:trio",
    "-p",
    "no:cacheprovider",
    "-W",
    "error",
)
"""As somebody's run is who has anyio's plugin only."""

FRESH: Final = """
import pytest, dp_core as dp

@pytest.mark.anyio
@pytest.mark.parametrize("time", [1, 2])
async def test_it(promises, promises_url, time):
    assert promises.url == promises_url
    assert dp.Pending() == await promises.promise("id").peek()
    async with dp.connect() as same:
        assert dp.Resolved(time) == await same.promise("id").resolve(time)
    assert time == await promises.promise("id").get(timeout=20)
"""

URLS: Final = ("memory:", "memory:{unique}", "sqlite:{tmp_path}/p.db")
"""Stores that may be asked for; `file:` comes by itself."""


@pytest.fixture
def theirs(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project of somebody else, whose default store is nobody's business."""
    pytester.makeconftest("""
        import os, pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(item):
            before = os.environ.get("DP_URL")
            result = yield
            assert before == os.environ.get("DP_URL")
            return result
    """)
    return pytester


# How tests are run -------------------------------------------------------------


def test_each_test_has_a_store_of_its_own(theirs: pytest.Pytester) -> None:
    """On both event loops, by anyio's plugin; by default in files."""
    theirs.makepyfile(FRESH)

    theirs.runpytest(*ALONE).assert_outcomes(passed=4)


@pytest.mark.parametrize("url", URLS)
def test_another_store_is_one_option(theirs: pytest.Pytester, url: str) -> None:
    """The same tests pass in memory and in databases, and each is alone there."""
    theirs.makepyfile(FRESH)

    theirs.runpytest(*ALONE, f"--dp-url={url}").assert_outcomes(passed=4)


def test_the_nearest_choice_counts(theirs: pytest.Pytester) -> None:
    """A mark is nearer than the command line, and that is nearer than a file."""
    theirs.makeini("[pytest]\ndp_url = sqlite:{tmp_path}/a b.db")
    theirs.makepyfile("""
        import pytest

        def test_it(promises_url):
            print("it", promises_url.split(":")[0])

        @pytest.mark.dp_url("memory:")
        def test_marked(promises_url):
            print("marked", promises_url.split(":")[0])
    """)
    words = (*ALONE, "-s", "--strict-markers", "--strict-config")

    theirs.runpytest(*words).stdout.fnmatch_lines(["*it sqlite*", "*marked memory*"])
    asked = theirs.runpytest(*words, "--dp-url=file:{tmp_path}/x")
    asked.stdout.fnmatch_lines(["*it file*", "*marked memory*"])


@pytest.mark.parametrize("url", ["file:./promises", "sqlite:{x}/p.db", "http://a", ""])
def test_one_store_for_all_tests_is_refused(theirs: pytest.Pytester, url: str) -> None:
    """Tests must not see each other's promises; the error says what to write."""
    theirs.makepyfile(FRESH)

    result = theirs.runpytest(*ALONE, f"--dp-url={url}")

    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*put {tmp_path} or {unique}*"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*Error*Traceback*")


def test_a_marker_without_a_url_is_refused(theirs: pytest.Pytester) -> None:
    """It says what it takes."""
    theirs.makepyfile(
        """
        import pytest

        @pytest.mark.dp_url("memory:{unique}", "another")
        def test_two(promises_url):
            pass
        """
    )

    result = theirs.runpytest(*ALONE)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*dp_url takes one store URL*"])


OTHERS: Final = {
    "pytest-asyncio": (
        ("-p", "no:trio", "-p", "no:anyio"),
        "asyncio_default_fixture_loop_scope = function\nasyncio_mode = auto",
    ),
    "pytest-trio": (("-p", "no:asyncio", "-p", "no:anyio"), "trio_mode = true"),
}


@pytest.mark.parametrize("plugin", OTHERS)
def test_other_plugins_of_event_loops_work(
    theirs: pytest.Pytester, plugin: str
) -> None:
    """Their tests use it as they are: async ones, and async fixtures upon it."""
    words, ini = OTHERS[plugin]
    theirs.makeini(f"[pytest]\n{ini}")
    theirs.makepyfile(
        FRESH.replace("@pytest.mark.anyio\n", "")
        + """
@pytest.fixture
async def approved(promises):
    await promises.promise("approval").resolve("yes")
    yield promises
    assert "yes" == await promises.promise("approval")

async def test_a_fixture_upon_it(approved):
    assert "yes" == await approved.promise("approval")
"""
    )

    result = theirs.runpytest_subprocess(
        *words, "-p", "no:cacheprovider", "-W", "error"
    )

    result.assert_outcomes(passed=3)


def test_tests_without_async_have_a_handle_that_blocks(
    theirs: pytest.Pytester,
) -> None:
    """It is on the store of the async one, closed after the test, and the default."""
    theirs.makepyfile("""
        import asyncio, pytest, dp_core.sync as dp

        KEPT = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_it(sync_promises, promises, time):
            KEPT.append(sync_promises)
            promise = sync_promises.promise("id")
            assert dp.Pending() == promise.peek()
            won = asyncio.run(promises.promise("id").resolve(time))
            assert dp.Resolved(time) == won
            assert time == promise.get(timeout=20)
            assert time == dp.durable_promise("id").get(timeout=20)

        def test_after():
            for handle in KEPT:
                with pytest.raises(dp.BackendClosedError):
                    handle.promise("id").peek()
    """)

    theirs.runpytest(*ALONE).assert_outcomes(passed=3)


NOBODY_AWAITS: Final = """
import asyncio

def test_it(promises):
    promises.promise("a").resolve(1)
    promises.promise("a").get()

def test_in_its_own_loop(promises):
    asyncio.run(promises.promise("a").resolve(1))
"""


@pytest.mark.parametrize("words", [(), pytest.param(("-n1",), marks=pytest.mark.slow)])
def test_a_call_that_nobody_awaited_is_told_with_what_to_do(
    theirs: pytest.Pytester, words: tuple[str, ...]
) -> None:
    """Beside Python's warning: the test passes, and has tried nothing."""
    theirs.makepyfile(NOBODY_AWAITS)

    result = theirs.runpytest(*ALONE, "-Wdefault", *words)

    result.assert_outcomes(passed=2, warnings=2)
    said = [line for line in result.outlines if "sync_promises" in line]
    name = "test_a_call_that_nobody_awaited_is_told_with_what_to_do.py::test_it"
    line = (
        f"durable promises: DurablePromise.resolve was not awaited ({name}, and 1 more)"
        ": in an async test write await, and a test without async takes sync_promises"
    )
    assert [line] == said


def test_others_hear_nothing_of_it(theirs: pytest.Pytester) -> None:
    """A test without async may run the async handle itself; others have other ones."""
    theirs.makepyfile("""
        import asyncio

        def test_in_its_own_loop(promises):
            asyncio.run(promises.promise("a").resolve(1))

        class Shop:
            async def pay(self): ...

        def test_of_others():
            Shop().pay()
    """)

    theirs.runpytest(*ALONE, "-Wdefault").stdout.no_fnmatch_line("*durable promises*")


# What is left ------------------------------------------------------------------


@pytest.mark.parametrize("url", ["file:{tmp_path}/p", *URLS])
def test_it_is_closed_after_the_test(theirs: pytest.Pytester, url: str) -> None:
    """Also where the test fails, or has closed it: no descriptor, no thread is left."""
    theirs.makepyfile("""
        import asyncio, os, pytest, threading, dp_core as dp

        KEPT, OPEN = [], []
        BEFORE = threading.enumerate()

        def use(promises):
            KEPT.append(promises)
            OPEN.append(len(os.listdir("/proc/self/fd")))

            async def both():
                waiting = asyncio.create_task(promises.promise("a").get())
                await promises.promise("a").resolve(1)
                assert 1 == await waiting

            asyncio.run(both())

        def test_first(promises):
            use(promises)

        def test_failing(promises):
            use(promises)
            assert 0

        def test_closed(promises):
            use(promises)
            asyncio.run(promises.aclose())

        def test_after():
            for promises in KEPT:
                with pytest.raises(dp.BackendClosedError):
                    asyncio.run(promises.promise("a").peek())
            for thread in {*threading.enumerate()} - {*BEFORE}:
                thread.join(20)  # it is told to end, and does so in a moment
                assert not thread.is_alive()
            assert {OPEN[0]} == {*OPEN, len(os.listdir("/proc/self/fd"))}
    """)

    # Threads and descriptors are counted, so the process is its own.
    result = theirs.runpytest_subprocess(*ALONE, f"--dp-url={url}")

    result.assert_outcomes(passed=3, failed=1)


def test_the_clock_moves_it(theirs: pytest.Pytester) -> None:
    """With deadline_clock, three days take no time, whichever is named first."""
    theirs.makepyfile("""
        from datetime import timedelta
        import pytest, dp_core as dp

        pytestmark = pytest.mark.anyio

        async def later(promises, clock):
            promise = await promises.create("a", deadline=timedelta(days=3))
            clock.advance(timedelta(days=3))
            assert dp.Rejected("deadline passed") == await promise.peek()

        async def test_a(promises, deadline_clock):
            await later(promises, deadline_clock)

        async def test_b(deadline_clock, promises):
            await later(promises, deadline_clock)
    """)

    theirs.runpytest(*ALONE).assert_outcomes(passed=4)


# People who do not use it ------------------------------------------------------


def test_a_fixture_of_ones_own_is_taken(theirs: pytest.Pytester) -> None:
    """In a module, a conftest or a class, without a word; ours may be built upon."""
    theirs.mkpydir("sub").joinpath("conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef promises():\n    return 'conftest'\n"
    )
    theirs.path.joinpath("sub", "test_sub.py").write_text(
        "def test_it(promises):\n    assert 'conftest' == promises\n"
    )
    theirs.makepyfile("""
        import pytest

        @pytest.fixture
        def promises_url():
            return "memory:mine"

        def test_mine(promises):
            assert "memory:mine" == promises.url

        class TestIt:
            @pytest.fixture
            def promises(self, promises):
                return promises, "and more"

            def test_it(self, promises):
                assert "and more" == promises[1]
    """)

    result = theirs.runpytest(*ALONE)

    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*warning*")


def test_it_costs_nothing_where_it_is_not_used() -> None:
    """Loading the plugin loads four small modules, and none of others."""
    program = """
import sys, pytest
before = set(sys.modules)
import dp_core.testing.pytest_plugin
print(*sorted(set(sys.modules) - before))
"""
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert [
        "dp_core",
        "dp_core._public",
        "dp_core.testing",
        "dp_core.testing.pytest_plugin",
    ] == loaded.split()
