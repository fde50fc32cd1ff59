"""The laws as tests of a third party: the suite, the plugin, the machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import cast

import anyio
import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from dp_core import Backend, Outcome, Pending, State, connect
from dp_core.testing import LAWS, PromiseMachine
from mutants.contract.registered import Registered, RegistryStore
from mutants.contract.registry import MUTANTS, load
from mutants.contract.subjects.with_terms.deadlines import TimersAreSetOnce

HEADER = """
    import pytest
    from dp_core import Backend, Pending, connect
    from dp_core.testing import BackendSuite, Effort

    QUICK = Effort(histories=2, crowd=16, volume=40, linger=0.05)
"""

MEMORY = dedent("""
    class TestTheirs(BackendSuite):
        durable, shared, effort = False, True, QUICK

        @pytest.fixture
        def open_backend(self):
            return lambda: connect("memory:theirs").backend
""")


TRIED = {"shared", "terms", "listing", "watch"}
"""The needs of laws that a store in memory meets."""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run pytest on the tests of a third party, in a process of its own."""

    def run(tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_theirs.py").write_text(dedent(HEADER) + dedent(tests))
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
                *("--strict-markers", "-W", "error", *arguments),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]


# The suite ------------------------------------------------------------------


def test_every_law_is_a_test_on_every_loop(run: Run) -> None:
    """A subclass of five lines has a test for each law, on asyncio and trio."""
    done = run(
        """
        class TestTheirs(BackendSuite):
            durable, shared, effort, examples = False, True, QUICK, 3

            @pytest.fixture
            def open_backend(self, tmp_path):
                return lambda: connect(f"memory:{tmp_path}").backend
        """,
        "-v",
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    for name, law in LAWS.items():
        for loop in ("asyncio", "trio"):
            verdict = "PASSED" if law.needs <= TRIED else "SKIPPED"
            assert any(
                verdict in line and "test_law" in line
                for line in done.stdout.splitlines()
                if {loop, name} <= set(_parts(line))
            ), (name, loop)
    assert "test_machine[asyncio] PASSED" in done.stdout
    assert "test_machine[trio] PASSED" in done.stdout
    assert "histories; repeat with --dp-seed" in done.stdout


def _parts(line: str) -> list[str]:
    """Return the parameters in a line of ``pytest -v``."""
    _, _, rest = line.partition("[")
    inside, _, _ = rest.partition("]")
    for loop in ("asyncio", "trio"):
        name = inside.removeprefix(f"{loop}-").removesuffix(f"-{loop}")
        if name != inside:
            return [loop, name]
    return []


def test_a_failure_is_readable(run: Run) -> None:
    """A failing law shows its sentence, its contract and its history, but no frames."""
    done = run(
        """
        class Forgetful(Backend):
            async def peek(self, id): return Pending()
            async def settle(self, id, outcome): return outcome
            async def wait(self, id): raise RuntimeError
            async def dispose(self, id): pass
            async def aclose(self): pass

        class TestTheirs(BackendSuite):
            durable, shared, effort = False, False, QUICK

            @pytest.fixture
            def open_backend(self):
                return Forgetful
        """,
        "-k",
        "asyncio and first-completion-wins",
    )

    law = LAWS["first-completion-wins"]
    assert 1 == done.returncode
    assert f"{law.name}: {law.sentence}" in done.stdout
    assert f"contract: {law.contract}" in done.stdout
    assert ": Resolved(b'1')" in done.stdout
    assert "_calls.py" not in done.stdout


def test_a_subclass_that_lacks_something_fails(run: Run) -> None:
    """Without a store, or without its promises, every test says what is missing."""
    done = run(
        """
        class TestStoreless(BackendSuite): durable = shared = True

        class TestSilent(BackendSuite):
            @pytest.fixture
            def open_backend(self):
                return lambda: connect("memory:theirs").backend
        """,
        "-q",
    )
    tests = 2 * len(LAWS) + 2

    assert f"{tests} failed, {tests} errors" in done.stdout
    assert "TestStoreless must override the fixture open_backend" in done.stdout
    assert "TestSilent must say what the store promises" in done.stdout


def test_skipped_laws_are_skipped_tests(run: Run) -> None:
    """A law in ``skip`` is a skipped test; an unknown name is a failure."""
    done = run(
        MEMORY
        + dedent("""
            class TestSkips(TestTheirs):
                skip = ["ids-keep-their-case"]

            class TestWrong(TestTheirs):
                skip = ["ids-keep-their-cases"]
        """),
        *("-v", "-k", "asyncio and ids-keep-their-case"),
    )

    verdicts = dict(re.findall(r"::(Test\w+)::test_law\S+ ([A-Z]+)", done.stdout))
    expected = {"TestTheirs": "PASSED", "TestSkips": "SKIPPED", "TestWrong": "FAILED"}
    assert expected == verdicts
    assert "no law is called 'ids-keep-their-cases'" in done.stdout


def test_options_decide_histories_and_seed(run: Run) -> None:
    """``--dp-histories`` and ``--dp-seed``, in plain digits, reach the laws."""
    done = run(
        MEMORY,
        *("-q", "-k", "asyncio and linearizable"),
        *("--dp-histories", "5", "--dp-seed", "99"),
    )

    assert "2 times a law held, 6 histories; repeat with --dp-seed 99" in done.stdout
    refused = run(MEMORY, "--dp-seed", "1_0").stderr
    assert "'1_0' is not a valid whole number; write digits" in refused


def test_workers_share_a_seed_and_are_summed_up(run: Run) -> None:
    """With pytest-xdist, all workers have one seed, and the summary is of them all."""
    seed_told = """
        def test_seed(request):
            from dp_core.testing.pytest_plugin import coverage

            print("SEED", coverage(request.config).seed)
    """
    seen: dict[tuple[str, ...], str] = {}
    for options in [(), ("-n", "2")]:
        done = run(
            MEMORY + dedent(seed_told),
            *("-q", "-rP", "-k", "ids-keep or linearizable or seed", *options),
        )
        (summary,) = re.findall("durable promises: (.*)", done.stdout)
        (seed,) = re.findall("SEED (.*)", done.stdout)
        assert summary.endswith(f"repeat with --dp-seed {seed}")
        seen[options] = summary.partition(";")[0]

    # Six laws on two loops; two of them are of histories, one with a tenth of them.
    assert {"12 times a law held, 6 histories"} == set(seen.values())


def test_the_plugin_imports_nothing(tmp_path: Path) -> None:
    """Loaded by every test run, the plugin imports no hypothesis, trio or kit."""
    (tmp_path / "test_other.py").write_text(
        dedent("""
            import sys

            def test_other(request):
                assert request.config.pluginmanager.hasplugin("dp_core")
                assert "dp_core.testing.pytest_plugin" in sys.modules
                kit = {"dp_core.testing.suite", "dp_core.testing.laws", "trio"}
                assert not kit & set(sys.modules)
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-W",
         "error", "-p", "no:cacheprovider", "-p", "no:anyio",
         "-p", "no:schemathesis"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "durable promises" not in done.stdout


# The machine ----------------------------------------------------------------


class Memory(Backend):
    """A right backend whose waiters poll; subclasses break it."""

    def __init__(self, outcomes: dict[str, Outcome[bytes]]) -> None:
        self.outcomes = outcomes

    async def peek(self, id: str) -> State[bytes]:
        return self.outcomes.get(id, Pending())  # type: ignore[return-value] # the union is one

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return self.outcomes.setdefault(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        while isinstance(state := await self.peek(id), Pending):  # noqa: ASYNC110 - as polls do
            await anyio.sleep(0.001)
        return state

    async def dispose(self, id: str) -> None:
        self.outcomes.pop(id, None)

    async def aclose(self) -> None:
        pass


class LastWins(Memory):
    """Overwrites."""

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self.outcomes[id] = outcome
        return outcome


def machine(loop: str, opened: Callable[[], Backend], *, durable: bool) -> type:
    """Return a machine for the store that *opened* opens."""
    members = {
        "open_backend": lambda self: opened(),
        "loop": loop,
        "durable": durable,
        "shared": True,
    }
    return type("Machine", (PromiseMachine,), members)


SETTINGS = hypothesis.settings(
    max_examples=60,
    stateful_step_count=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


NOT_SHRUNK = hypothesis.settings(
    SETTINGS, phases=[hypothesis.Phase.generate], max_examples=2000
)
"""
Where it counts that a failure is found, and not how it is shown.

It ends with the first failure. Which one that is depends on the modules that the
process has loaded; a rare one comes among three hundred.
"""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_machine_passes_a_right_backend(loop: str) -> None:
    """The memory backend agrees with a dict after any operations."""
    kind = machine(loop, lambda: connect("memory:machine").backend, durable=False)

    run_state_machine_as_test(kind, settings=SETTINGS)


def test_the_machine_finds_a_wrong_backend_on_trio() -> None:
    """A backend that overwrites is found there, too."""
    outcomes: dict[str, Outcome[bytes]] = {}
    kind = machine("trio", lambda: LastWins(outcomes), durable=False)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(kind, settings=NOT_SHRUNK)


def test_the_machine_finds_a_wrong_backend() -> None:
    """A backend that overwrites is found, and shown in the fewest steps."""
    outcomes: dict[str, Outcome[bytes]] = {}
    kind = machine("asyncio", lambda: LastWins(outcomes), durable=False)

    # Each further step makes shrinking longer, and it shrinks to two from any number.
    few = hypothesis.settings(SETTINGS, stateful_step_count=6, max_examples=2000)
    with pytest.raises(AssertionError, match=r"settle.* gave ") as caught:
        run_state_machine_as_test(kind, settings=few)

    steps = [note for note in caught.value.__notes__ if "state.settle(" in note]
    assert 2 == len(steps)


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        ("LastTermsStand", "create"),
        ("OnlyAJanitorSettles", "peek"),
        ("ExpiryIsNotSaid", "info"),
        ("OnlyTheCreated", "list"),
    ],
)
def test_the_machine_finds_wrong_terms(wrong: str, seen: str) -> None:
    """Where a store keeps terms, it creates, asks for infos, and lists."""
    load()
    kind = cast("type[Registered]", MUTANTS[wrong].backend)
    store = RegistryStore()
    made = machine("asyncio", lambda: kind(store), durable=True)

    with pytest.raises(AssertionError, match=f"{seen}.* gave "):
        run_state_machine_as_test(made, settings=NOT_SHRUNK)


def test_the_machine_moves_the_clock_of_deadlines() -> None:
    """A waiter that looks at the deadline once, in its own time, is found."""
    store = RegistryStore()
    made = machine("asyncio", lambda: TimersAreSetOnce(store), durable=True)
    made.own_clock, made.patience = True, 3.0

    with pytest.raises(AssertionError, match="did not end in time"):
        run_state_machine_as_test(made, settings=NOT_SHRUNK)


def test_the_machine_opens_stores_again() -> None:
    """A backend that forgets when it is closed is found where it is durable."""
    stores: list[dict[str, Outcome[bytes]]] = [{}]

    class Forgets(Memory):
        async def aclose(self) -> None:
            stores[0] = {}

    kind = machine("asyncio", lambda: Forgets(stores[0]), durable=True)
    with pytest.raises(AssertionError, match=r"peek.* gave Pending"):
        run_state_machine_as_test(kind, settings=NOT_SHRUNK)


def test_the_machine_ends_although_a_wait_does_not() -> None:
    """A wait that never ends is found, and takes the whole time only once."""

    class Forgetful(Memory):
        async def wait(self, id: str) -> Outcome[bytes]:
            await anyio.sleep_forever()

    outcomes: dict[str, Outcome[bytes]] = {}
    kind = machine("asyncio", lambda: Forgetful(outcomes), durable=False)
    kind.patience = 0.5
    short = hypothesis.settings(SETTINGS, phases=[hypothesis.Phase.generate])
    with pytest.raises(AssertionError, match="did not end in time"):
        run_state_machine_as_test(kind, settings=short)


def test_a_machine_without_a_store_fails() -> None:
    """A machine without a store and its promises does not pass."""
    with pytest.raises(NotImplementedError, match="durable and shared"):
        PromiseMachine()
