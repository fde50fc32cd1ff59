"""What all tests share: both event loops, and the lanes of the suite."""

from __future__ import annotations

import gc
import os
from functools import cache
from pathlib import Path
from typing import Final, Literal

import pytest
from hypothesis import settings

from support.core.disks.small_disks import private_mounts

TESTS: Final = Path(__file__).parent
IN_MEMORY: Final = "/dev/shm"  # noqa: S108 - pytest makes a directory of its own there

# A run that is killed leaves no disk mounted. Before any thread or server is there.
private_mounts()

# Tests that start pytest do so as people do who have anyio's plugin only; of these two
# the first warns by itself. In this run they are off by pyproject.toml.
os.environ["PYTEST_ADDOPTS"] = "-p no:asyncio -p no:trio"

# A loaded machine is no fault of the code. Hypothesis has no deadline in CI either.
settings.register_profile("all", settings(), deadline=None)
settings.register_profile("fast", settings.get_profile("all"), max_examples=20)

# Plain `pytest` runs what is in neither list, in under a minute; `make test` runs
# everything. A path stands for all that is below it.
SLOW: Final = (
    "backends/file/opening/test_futile_rounds.py",
    "backends/file/registry/test_sweeping.py",
    "backends/file/registry/test_terms.py",
    "backends/file/test_crash.py",
    "backends/file/test_disks.py",
    "backends/file/test_faults.py",
    "backends/file/test_powerloss.py",
    "backends/file/test_race.py",
    "backends/file/watching",
    "backends/http/calls/test_failing_batches.py",
    "backends/http/long_polls",
    "backends/http/sockets",
    "backends/http/test_connection.py",
    "backends/http/test_pool.py",
    "backends/http/test_retry.py",
    "backends/http/test_server.py",
    "backends/postgresql",
    "backends/released",
    "backends/restate",
    "backends/sqlite/test_crash.py",
    "backends/sqlite/test_disks.py",
    "backends/sqlite/test_forks.py",
    "backends/sqlite/test_powerloss.py",
    "backends/sqlite/test_races.py",
    "backends/sqlite/test_sqlite.py",
    "backends/test_behind_proxies.py",
    "cli",
    "core/backend/test_foreign_threads.py",
    "core/sync/test_endings.py",
    "core/sync/test_moments.py",
    "core/sync/test_processes.py",
    "docs/frameworks",
    "docs/test_choose_a_store.py",
    "docs/test_docs.py",
    "docs/test_examples.py",
    "docs/test_how_to.py",
    "docs/test_site.py",
    "docs/test_third_party.py",
    "docs/test_write_a_backend.py",
    "mutants",
    "notebook/lessons/test_course.py",
    "notebook/lessons/test_page.py",
    "notebook/processes",
    "notebook/test_browser.py",
    "notebook/test_extension.py",
    "notebook/test_notebooks.py",
    "notebook/test_on.py",
    "notebook/test_scratch.py",
    "packaging/release",
    "packaging/test_make.py",
    "packaging/test_types.py",
    "server/attacks",
    "server/callbacks/test_postgresql.py",
    "server/callbacks/test_processes.py",
    "server/pages/browser",
    "server/pages/test_changes.py",
    "server/routing/test_openapi.py",
    "server/running/test_deployed.py",
    "server/running/test_embedded.py",
    "server/running/test_run.py",
    "testing/test_check.py",
    "testing/test_crash.py",
    "testing/test_hanging.py",
    "testing/test_laws.py",
    "testing/test_ours.py",
    "testing/test_promises_fixture.py",
    "testing/test_suite.py",
)
"""Tests that take over a second, or start many processes."""

SYSTEM: Final = (
    "backends/file/test_crash.py",
    "backends/file/test_disks.py",
    "backends/file/test_powerloss.py",
    "backends/postgresql",
    "backends/released/test_postgresql.py",
    "backends/restate",
    "backends/sqlite/test_crash.py",
    "backends/sqlite/test_disks.py",
    "backends/sqlite/test_powerloss.py",
    "backends/test_behind_proxies.py",
    "cli/doctor/test_doctor_postgresql.py",
    "mutants/file",
    "mutants/sqlite",
    "notebook/test_browser.py",
    "packaging/test_types.py",
    "server/attacks/test_pages.py",
    "server/attacks/test_smuggling.py",
    "server/callbacks/test_postgresql.py",
    "server/pages/browser",
    "testing/test_crash.py",
)
"""Tests that need what a machine may lack: root, strace, a browser, npm, proxies."""


def pytest_configure(config: pytest.Config) -> None:
    """Try each property with fewer examples in the fast lane, and keep off the disk."""
    is_fast = "not slow" in config.getoption("markexpr")
    settings.load_profile("fast" if is_fast else "all")
    if is_fast and os.access(IN_MEMORY, os.W_OK):
        # A store of files is 256 directories; `make test` makes them on a disk.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", IN_MEMORY)


def pytest_ignore_collect(
    collection_path: Path, config: pytest.Config
) -> Literal[True] | None:
    """Leave out what the fast lane leaves out: to import it takes as long as a run."""
    expression = config.getoption("markexpr")
    left_out = (
        ("not slow" in expression and _is_below(SLOW, collection_path))
        or ("not system" in expression and _is_below(SYSTEM, collection_path))
    )  # fmt: skip
    return True if left_out else None


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of the slow lanes before any is left out."""
    for item in items:
        for marker, paths in ((pytest.mark.slow, SLOW), (pytest.mark.system, SYSTEM)):
            if _is_below(paths, item.path):
                item.add_marker(marker)


@cache
def _is_below(paths: tuple[str, ...], path: Path) -> bool:
    """Return whether a path is one of the paths, or below one."""
    inside = path.relative_to(TESTS)
    return not {*paths}.isdisjoint(map(str, (inside, *inside.parents)))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every async test on both event loops."""
    return str(request.param)
