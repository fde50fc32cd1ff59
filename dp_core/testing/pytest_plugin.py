"""
The pytest plugin of this package: stores for tests, their clock, and the kit's options.

================== ============================================================
``promises``       a handle on a store of this test's own
``sync_promises``  the same for tests without async, of `dp_core.sync`
``promises_url``   the URL of that store, for other processes
``deadline_clock`` the clock of deadlines, which the test can move
================== ============================================================

A fixture of somebody's own, of the same name, is taken in their place.

Every test run of every project that has the package installed loads this
module, so it imports nothing that pytest has not already imported.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, final

import pytest

if TYPE_CHECKING:
    from warnings import WarningMessage

    from dp_core import Promises
    from dp_core.sync import Promises as SyncPromises
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


_STORE: Final = "file:{tmp_path}/promises"
"""The store of a test, where nothing says another one."""

_IN_MEMORY: Final = "memory:"


@pytest.fixture
def promises_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a new store, which no other test has."""
    from urllib.parse import quote  # noqa: PLC0415 - see above
    from uuid import uuid4  # noqa: PLC0415 - see above

    template = _template(request)
    if template == _IN_MEMORY:
        template = f"{_IN_MEMORY}{{unique}}"
    # A name of a schema begins with a letter.
    names = {"tmp_path": quote(str(tmp_path)), "unique": f"t{uuid4().hex}"}
    url = template
    for name, value in names.items():
        url = url.replace(f"{{{name}}}", value)
    if url == template:
        raise pytest.UsageError(
            f"not a valid store URL for each test: {template!r} is one store for all; "
            "put {tmp_path} or {unique} where each test has its own"
        )
    return url


@pytest.fixture
def promises(promises_url: str) -> Iterator[Promises]:
    """
    Return a handle on a new store, for async tests; it is closed after the test.

    Tests without async take `sync_promises`.

    ``DP_URL`` is the URL of the store meanwhile, so that `dp_core.connect` and programs
    that the test starts use that store, too.
    """
    from dp_core import connect  # noqa: PLC0415 - see above

    with _default_store(promises_url):
        handle = connect(promises_url)
        yield handle
        _finish(handle.aclose)


@pytest.fixture
def sync_promises(promises_url: str) -> Iterator[SyncPromises]:
    """Return a handle that blocks, on the store of `promises`, as `promises` does."""
    from dp_core.sync import connect  # noqa: PLC0415 - see above

    with _default_store(promises_url), connect(promises_url) as handle:
        yield handle


@contextmanager
def _default_store(url: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DP_URL", url)
        yield


def _template(request: pytest.FixtureRequest) -> str:
    """Return the store URL that is asked for: the nearest to the test counts."""
    marker = request.node.get_closest_marker("dp_url")
    if marker is not None:
        if len(marker.args) != 1 or marker.kwargs:
            raise pytest.UsageError("dp_url takes one store URL")
        return str(marker.args[0])
    config = request.config
    asked = config.getoption("--dp-url")
    return str(asked if asked is not None else config.getini("dp_url") or _STORE)


def _finish(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *close* in an event loop of its own, whatever this thread has for one."""
    import asyncio  # noqa: PLC0415 - see above
    from threading import Thread  # noqa: PLC0415 - see above

    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(close())
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    for failure in failures:
        raise failure


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
        type=_whole,
        metavar="N",
        help="check N concurrent histories in each law of them",
    )
    group.addoption(
        "--dp-url",
        metavar="URL",
        help="the store of each test that uses promises, such as "
        "'sqlite:{tmp_path}/promises.db' or 'memory:'",
    )
    parser.addini("dp_url", f"as --dp-url; by default {_STORE}")
    group.addoption(
        "--dp-seed", type=_whole, metavar="SEED", help="repeat the choices of a run"
    )


def _whole(text: str) -> int:
    from dp_core._text import read_whole  # noqa: PLC0415 - see above

    try:
        return read_whole(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "conformance: a law of the conformance kit of durable promises"
    )
    config.addinivalue_line(
        "markers", "dp_url(url): the store of a test that uses promises, as --dp-url"
    )
    config.pluginmanager.register(_ForgottenAwaits())


@final
class _ForgottenAwaits:
    """
    A plugin that says what to do about calls of promises that nobody awaited.

    Python says that there were some. A test that forgets them may pass, having tried
    nothing; one without async may await them in its own way, so it is not refused.
    """

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def pytest_warning_recorded(
        self, warning_message: WarningMessage, nodeid: str
    ) -> None:
        found = _NEVER_AWAITED.match(str(warning_message.message))
        if found is not None:
            self._found.append((found[1], nodeid))

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        if self._found:
            call, nodeid = self._found[0]
            others = f", and {n} more" if (n := len(self._found) - 1) else ""
            terminalreporter.write_line(
                f"durable promises: {call} was not awaited ({nodeid}{others}): in an "
                "async test write await, and a test without async takes sync_promises"
            )


_NEVER_AWAITED: Final = re.compile(
    r"coroutine '((?:DurablePromise|Promises)\.\w+)' was never awaited"
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
