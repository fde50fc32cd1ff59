"""
What pytest learns from this package being installed: a marker, two options.

Every test run of every project that has the package installed loads this
module, so it imports nothing that pytest has not imported already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from dp_core.testing._report import Report

__all__ = ["Coverage", "coverage"]

pytest.register_assert_rewrite("dp_core.testing")


@dataclass(slots=True)
class Coverage:
    """
    What the laws of one test run went through.

    Attributes:
        seed: Decides every random choice.
        histories: How many histories to check in a law; None as the suite says.
        laws: How many laws were tried and hold.
        checked: How many histories were recorded and checked.
    """

    seed: int
    histories: int | None
    laws: int = 0
    checked: int = 0

    def add(self, report: Report) -> None:
        self.laws += len(report.passed)
        self.checked += report.histories


_COVERAGE: Final = pytest.StashKey[Coverage]()


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
    """Return what the laws of this test run went through so far."""
    if _COVERAGE not in config.stash:
        seed = config.getoption("--dp-seed")
        config.stash[_COVERAGE] = Coverage(
            SystemRandom().getrandbits(32) if seed is None else seed,
            config.getoption("--dp-histories"),
        )
    return config.stash[_COVERAGE]


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
