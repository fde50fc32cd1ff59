"""``make demo`` and ``make test``: environments are whole, or are made again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT

OFFLINE = {
    # No registry, no packages lying about, no settings of this machine.
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_NO_INDEX": "1",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a directory with what make needs, as in a fresh clone."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make without any network, and as a make of its own."""
    kept = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    return subprocess.run(
        ["make", *arguments],
        capture_output=True,
        check=False,
        cwd=clone,
        env={**kept, **OFFLINE},
        text=True,
        timeout=300,
    )


def program(path: Path, script: str) -> None:
    """Write a program that stands in for a real one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_half_made_environment_does_not_count(clone: Path) -> None:
    """When packages cannot be fetched, make fails, and begins anew next time."""
    (clone / ".venv").mkdir()
    (clone / ".venv" / "left over").touch()

    failed = make(clone, "demo")

    assert 2 == failed.returncode
    assert "pip" in failed.stderr
    assert not (clone / ".venv" / "left over").exists()
    assert [] == list((clone / ".venv").glob(".base"))
    assert "-m venv" in make(clone, "--dry-run", "demo").stdout


def test_a_complete_environment_needs_no_network(clone: Path) -> None:
    """Nothing is installed again until what it is made from changes."""
    program(clone / ".venv" / "bin" / "python", 'echo "$@"')
    for stamp in (".base", ".demo", ".test", ".npm"):
        (clone / ".venv" / stamp).touch()

    assert "examples/demo.py\n" == make(clone, "demo").stdout
    assert "-m pip" not in make(clone, "test").stdout

    newer = (clone / ".venv" / ".test").stat().st_mtime_ns + 10**9
    os.utime(clone / "pyproject.toml", ns=(newer, newer))
    again = make(clone, "--dry-run", "demo").stdout
    assert "-m venv" not in again
    assert "-m pip" in again
    os.utime(clone / "constraints.txt", ns=(newer, newer))
    assert "-m venv" in make(clone, "--dry-run", "demo").stdout


def test_the_tests_end_with_pytest(clone: Path) -> None:
    """Lint and types come first, and nothing comes after the tests."""
    program(clone / ".venv" / "bin" / "python", 'echo "ran $2 $3"')
    for stamp in (".base", ".demo", ".test", ".npm"):
        (clone / ".venv" / stamp).touch()

    ran = [
        line.split()[1:]
        for line in make(clone, "test").stdout.splitlines()
        if line.startswith("ran ")
    ]

    assert [["ruff", "check"], ["ruff", "format"], ["mypy"]] == ran[:3]
    assert "pytest" == ran[-1][0]


def test_what_is_released_is_committed(clone: Path) -> None:
    """Nothing is built of what lies about; wheel and sdist are checked as one asks."""
    program(clone / ".venv" / "bin" / "python", 'echo "$@"')
    for stamp in (".base", ".demo", ".test"):
        (clone / ".venv" / stamp).touch()
    program(clone / "bin" / "git", "echo '?? left over'")

    refused = make(clone, "dist", f"PATH={path(clone)}")
    program(clone / "bin" / "git", "true")
    done = make(clone, "dist", f"PATH={path(clone)}")

    assert 2 == refused.returncode
    assert "commit first" in refused.stderr
    assert "-m build" not in refused.stdout
    assert ["-m build --no-isolation", "-m twine check --strict dist/*"] == [
        line for line in done.stdout.splitlines() if line.startswith("-m")
    ]


def test_a_python_without_venv_is_named(clone: Path) -> None:
    """Where it may not install, make says which Debian package is missing."""
    program(clone / "bin" / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    program(clone / "bin" / "id", "echo 1000")

    failed = make(clone, "demo", f"PYTHON={clone}/bin/python3", f"PATH={path(clone)}")

    assert 2 == failed.returncode
    assert "as root, run: apt-get install python3-venv" in failed.stderr
    assert not (clone / ".venv").exists()


def test_an_old_python_is_refused(clone: Path) -> None:
    """It says which version is needed, before anything is made."""
    program(clone / "bin" / "python3", "exit 1")

    failed = make(clone, "demo", f"PYTHON={clone}/bin/python3")

    assert 2 == failed.returncode
    assert "Python 3.11 or newer is needed" in failed.stderr
    assert not (clone / ".venv").exists()


def test_missing_programs_are_named_with_what_they_skip(clone: Path) -> None:
    """Where it may not install, make says what is missing, and goes on."""
    for name in ("dirname", "sh"):
        found = shutil.which(name)
        assert found is not None
        (clone / "bin").mkdir(exist_ok=True)
        (clone / "bin" / name).symlink_to(found)
    program(clone / "bin" / "id", "echo 1000")

    done = make(clone, "programs", f"PATH={clone}/bin")

    assert 0 == done.returncode
    assert "no curl here; without it, these tests skip:" in done.stdout
    [packages] = re.findall("as root, run: apt-get install (.*)", done.stderr)
    assert {"curl", "strace"} <= set(packages.split())


def path(clone: Path) -> str:
    """Return a search path on which the stand-ins come first."""
    return f"{clone}/bin:{os.environ['PATH']}"
