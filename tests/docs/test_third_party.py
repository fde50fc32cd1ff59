"""
The door for third parties, walked through.

The project and `examples/third_party_backend` are built and installed by pip,
in an environment where nothing is but what they need; everything here runs
there, in processes of its own. Nothing is fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from dp_core.testing import LAWS
from dp_core.testing.crash import Disk, missing_tools
from support.docs.documents import blocks
from support.docs.third_party import FILLED, FORKED, LATE, UNPLUGGED, WRITER
from support.file.sweeps import missing
from support.paths import ROOT

EXAMPLE: Final = ROOT / "examples" / "third_party_backend"
LOOPS: Final = ("asyncio", "trio")


class Place(NamedTuple):
    """
    A clean environment, and an empty directory to work in.

    Attributes:
        programs: Where its python and dp are.
        home: The directory.
        before: What dp said to a URL of the example before that was installed.
    """

    programs: Path
    home: Path
    before: subprocess.CompletedProcess[str]

    def run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        return run(self.programs / program, *args, cwd=self.home)


def run(
    program: str | Path, *args: str | Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program that knows nothing of this checkout."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DP_", "PYTHON", "PYTEST"))
    }
    return subprocess.run(
        [program, *args],
        cwd=cwd,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Install the project, then the example, as anybody would."""
    home = tmp_path_factory.mktemp("third-party")
    venv.create(home / "venv", symlinks=True)
    programs = home / "venv" / "bin"
    [packages] = (home / "venv").glob("lib/python*/site-packages")
    # What they depend on is taken from here. As a plain path it brings no
    # checkout along: the .pth files in it are not read.
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    (packages / "dependencies.pth").write_text("\n".join(dependencies))

    def install(source: Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", programs / "python")
        offline = ("--no-index", "--no-deps", "--no-build-isolation")
        done = run(*pip, "install", *offline, source, cwd=home)
        assert 0 == done.returncode, done.stderr

    install(ROOT)
    before = run(programs / "dp", "peek", "--url", "lmdb:p.db", "a", cwd=home)
    install(EXAMPLE)
    yield Place(programs, home, before)
    shutil.rmtree(home)


def test_what_runs_there_is_what_pip_installed(place: Place) -> None:
    """Neither package is read from this checkout."""
    found = place.run(
        "python", "-c", "import dp_core, dp_lmdb as s; print(dp_core, s, sep='\\n')"
    )

    assert f"{ROOT}/" not in found.stdout
    assert 2 == found.stdout.count(str(place.home)), found.stderr


def test_without_the_package_the_error_says_what_to_do(place: Place) -> None:
    """Who has not installed a backend is told that it is a package to install."""
    assert 2 == place.before.returncode
    assert "no backend for store URL 'lmdb:p.db'" in place.before.stderr
    assert "install the package that brings lmdb:" in place.before.stderr
    assert "Traceback" not in place.before.stderr


def test_the_installed_scheme_is_listed(place: Place) -> None:
    """``dp backends`` names the package beside its scheme."""
    lines = place.run("dp", "backends").stdout.splitlines()

    assert ["lmdb", "dp-lmdb", "ok"] in [line.split() for line in lines]


def test_dp_settles_and_peeks_through_the_installed_scheme(place: Place) -> None:
    """Processes that know only the URL share a promise."""
    url = ("--url", "lmdb:shared.db")

    told = [
        place.run("dp", *command)
        for command in (
            ("peek", *url, "my-id"),
            ("resolve", *url, "my-id", "hello"),
            ("reject", *url, "my-id", "too late"),
            ("get", *url, "my-id"),
            ("dispose", *url, "my-id"),
            ("peek", *url, "my-id"),
        )
    ]

    assert [3, 0, 0, 0, 0, 3] == [done.returncode for done in told]
    assert ["hello\n"] * 3 == [done.stdout for done in told[1:4]]


def test_a_store_that_cannot_be_opened_is_a_clear_error(place: Place) -> None:
    """A missing directory, and a file that is no database, are named."""
    (place.home / "no.db").write_text("this is no database" * 100)
    for url in ("lmdb:missing/p.db", "lmdb:no.db", "lmdb:"):
        done = place.run("dp", "peek", "--url", url, "a")

        assert 2 == done.returncode, url
        assert str(place.home) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_store_without_room_is_a_clear_error(place: Place) -> None:
    """What does not fit changes nothing, and disposals make room."""
    done = place.run("python", "-c", FILLED, "lmdb:full.db")

    error, *states = done.stdout.splitlines()
    assert f"{place.home}/full.db: " in error
    assert error.endswith("; nothing was changed"), done.stderr
    assert ["Pending()", "Resolved(value='y')"] == states


def test_a_handle_outlives_a_fork(place: Place) -> None:
    """The same handle goes on in parent and child, although LMDB's does not."""
    done = place.run("python", "-c", FORKED, "lmdb:forked.db")

    assert ["child sees 1", "parent sees 2"] == done.stdout.splitlines(), done.stderr


def test_a_commit_is_news_to_all(place: Place) -> None:
    """Nobody is missed who joins behind a look, during one, or whose leader left it."""
    done = place.run("python", "-c", LATE, "lmdb:late.db")

    told = ["late", "between", "followed"]
    assert [*told, "True", "None"] == done.stdout.splitlines(), done.stderr


def test_what_was_seen_survives_a_power_cut(place: Place) -> None:
    """A commit that its writer did not make durable is so once it was shown."""
    missing(Disk.missing(), fails=False)

    done = place.run("python", "-c", UNPLUGGED, WRITER)

    assert ["unseen: Pending()", "seen: Resolved(value=1)"] == (
        done.stdout.splitlines()
    ), done.stderr


def test_every_law_holds_on_every_loop(place: Place) -> None:
    """The example's own test passes: no law fails, and some do not apply."""
    test = place.home / "test_conformance.py"
    shutil.copyfile(EXAMPLE / test.name, test)

    def passed(loop: str) -> set[str]:
        # Few histories: whether all laws are tried is what counts here.
        done = place.run(
            *("python", "-m", "pytest", "-p", "no:cacheprovider", test.name),
            *("-k", loop, "--dp-histories", "10", "--junit-xml", f"{loop}.xml"),
        )
        assert 0 == done.returncode, done.stdout
        results = ET.parse(place.home / f"{loop}.xml")  # noqa: S314 - our own
        cases = results.iter("testcase")
        return {str(case.get("name")) for case in cases if len(case) == 0}

    with ThreadPoolExecutor() as threads:
        found = dict(zip(LOOPS, threads.map(passed, LOOPS), strict=True))

    assert found == {
        loop: {
            f"test_machine[{loop}]",
            *(
                f"test_law[{loop}-{name}]"
                for name, law in LAWS.items()
                if not law.needs & {"outage", "terms", "listing", "watch"}
            ),
        }
        for loop in LOOPS
    }


def test_the_crash_sweep_of_the_guide_finds_nothing(place: Place) -> None:
    """Killed before any system call that changes something, it loses nothing."""
    missing(missing_tools())
    [sweep] = [
        block.text
        for block in blocks("docs/how-to/write-a-backend.md")
        if "await crash_sweep(" in block.text
    ]

    done = place.run("python", "-c", sweep)

    assert 0 == done.returncode, done.stderr
    counts = dict(line.split(maxsplit=1)[::-1] for line in done.stdout.splitlines())
    [kills] = [int(n) for what, n in counts.items() if what.startswith("kills in")]
    assert kills >= 100
    assert "0" == counts["violations"]
