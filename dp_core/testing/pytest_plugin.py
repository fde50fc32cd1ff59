"""
The pytest plugin of this package: the marker ``conformance`` and two options.

Every test run of every project that has the package installed loads this
module, so it imports nothing that pytest has not already imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from dp_core.testing._deadlines import DeadlineClock
    from dp_core.testing.kit import Report

__all__ = ["Coverage", "coverage"]

pytest.register_assert_rewrite("dp_core.testing")


@dataclass(slots=True)
class Coverage:
    """
    Counts of what the laws of one test run did.

    Attributes:
        seed: Decides every random choice.
        histories: How many histories to check in a law; None: as the suite sets.
        laws: How many laws were tried and hold.
        checked: How many histories were recorded and checked.
    """

    seed: int
    histories: int | None
    laws: int = 0
    checked: int = 0

    def add(self, report: Report) -> None:
        """Add the counts of *report*."""
        self.laws += len(report.passed)
        self.checked += report.histories


_COVERAGE: Final = pytest.StashKey[Coverage]()
_SEED: Final = pytest.StashKey[int]()
_WORKER: Final = "dp_core"
"""The key of our data in what pytest-xdist sends to and from its workers."""


@pytest.fixture
def deadline_clock() -> Iterator[DeadlineClock]:
    """Return the clock of deadlines, which the test can move."""
    from dp_core.testing._deadlines import DeadlineClock  # noqa: PLC0415 - see above

    with DeadlineClock() as clock:
        yield clock


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durable promises")
    group.addoption(
        "--dp-histories",
        type=int,
        metavar="N",
        help="check N concurrent histories in each law of them",
    )
    group.addoption(
        "--dp-seed", type=int, metavar="SEED", help="repeat the choices of a run"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "conformance: a law of the conformance kit of durable promises"
    )


def coverage(config: pytest.Config) -> Coverage:
    """Return the counts of this test run so far."""
    if _COVERAGE not in config.stash:
        histories = config.getoption("--dp-histories")
        config.stash[_COVERAGE] = Coverage(_seed(config), histories)
    return config.stash[_COVERAGE]


def _seed(config: pytest.Config) -> int:
    """Return the seed of this run, which all its processes share."""
    if _SEED not in config.stash:
        seed: int | None = config.getoption("--dp-seed")
        if seed is None:
            sent = getattr(config, "workerinput", {})
            seed = sent.get(_WORKER, SystemRandom().getrandbits(32))
        config.stash[_SEED] = seed
    return config.stash[_SEED]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in _summary(config):
        terminalreporter.write_line(line)


def _summary(config: pytest.Config) -> Iterator[str]:
    covered = config.stash.get(_COVERAGE, None)
    if covered is not None:
        yield (
            f"durable promises: {covered.laws:,} times a law held, "
            f"{covered.checked:,} histories; repeat with --dp-seed {covered.seed}"
        )


# With pytest-xdist the laws are tried in workers; the main process adds up.


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[_WORKER] = _seed(node.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    covered = session.config.stash.get(_COVERAGE, None)
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if covered is not None and output is not None:
        output[_WORKER] = covered.laws, covered.checked


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    # A worker that crashed leaves no output.
    found = getattr(node, "workeroutput", {}).get(_WORKER)
    if found is not None:
        covered = coverage(node.config)
        covered.laws += found[0]
        covered.checked += found[1]
