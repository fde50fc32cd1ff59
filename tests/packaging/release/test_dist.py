"""The wheel and the sdist: what is in them, and what an installation can do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path, PurePosixPath
from typing import Final
from zipfile import ZipFile

import pytest

import dp_core
from support.core.release.installation import (
    EXTRAS,
    check_types,
    make_environment,
    try_it,
)
from support.paths import ROOT

NAME: Final = f"durable_promises-{dp_core.__version__}"


@dataclass(frozen=True)
class Built:
    """
    A wheel and an sdist.

    Attributes:
        source: The copy of the repository from which they were built.
        wheel: The wheel.
        sdist: The sdist.
    """

    source: Path
    wheel: Path
    sdist: Path


def tracked() -> set[str]:
    """Return the files of the repository, with those that may be committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: nobody knows what belongs to the repository")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True)
    return {name for name in listed.split("\0") if (ROOT / name).is_file()}


def build(place: Path, *what: str) -> Built:
    """Build, from a copy of the repository, without a network."""
    source = place / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", place],
        capture_output=True,
        check=True,
        cwd=source,
    )
    [wheel], [sdist] = place.glob("*.whl"), place.glob("*.tar.gz")
    return Built(source, wheel, sdist)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return both, the wheel built from the sdist, as `make dist` does."""
    return build(tmp_path_factory.mktemp("built"))


def test_the_index_would_take_them(built: Built) -> None:
    """Twine finds nothing wrong, and the README renders."""
    command = [sys.executable, "-m", "twine", "check", "--strict"]
    done = subprocess.run(
        [*command, built.wheel, built.sdist],
        capture_output=True,
        check=False,
        text=True,
    )

    assert 0 == done.returncode, done.stdout
    assert 2 == done.stdout.count("PASSED")


def test_the_wheel_has_the_packages_and_nothing_else(built: Built) -> None:
    """All of both packages, and the metadata: no tests, no caches, no pages."""
    packages = {
        name.removeprefix("backends/")
        for name in tracked()
        if name.startswith(("dp_core/", "backends/dp_backends/"))
    }
    metadata = {
        f"{NAME}.dist-info/{name}"
        for name in (
            "METADATA",
            "RECORD",
            "WHEEL",
            "entry_points.txt",
            "licenses/LICENSE",
        )
    }

    with ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
        text = message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))
    assert packages | metadata == names
    assert {"dp_core/py.typed", "dp_backends/py.typed"} <= names
    assert dp_core.__version__ == text["Version"]
    assert ">=3.11" == text["Requires-Python"]
    assert EXTRAS == set(text.get_all("Provides-Extra", ()))


def test_the_sdist_has_all_that_is_in_the_repository(built: Built) -> None:
    """Whoever packages it has the tests, and all that they need."""
    with tarfile.open(built.sdist) as sdist:
        names = {
            str(PurePosixPath(name).relative_to(NAME)) for name in sdist.getnames()
        }

    assert tracked() | {"PKG-INFO"} == names


def test_they_are_built_alike_wherever_they_are_built(
    built: Built, tmp_path: Path
) -> None:
    """The tree and the sdist make the same wheel; place and time leave no trace."""
    again = build(tmp_path, "--sdist", "--wheel")

    assert built.sdist.read_bytes() == again.sdist.read_bytes()
    assert built.wheel.read_bytes() == again.wheel.read_bytes()


def test_no_path_of_this_machine_is_in_them(built: Built) -> None:
    """Nobody learns where they were built."""
    paths = [str(path).encode() for path in (ROOT, built.source, sys.prefix)]
    with tarfile.open(built.sdist) as sdist:
        files = {
            member.name: data.read()
            for member in sdist.getmembers()
            if (data := sdist.extractfile(member))
        }
    with ZipFile(built.wheel) as wheel:
        files |= {name: wheel.read(name) for name in wheel.namelist()}

    assert [] == [
        (name, path) for name, data in files.items() for path in paths if path in data
    ]


@pytest.mark.parametrize("extras", [frozenset[str](), EXTRAS], ids=["bare", "extras"])
def test_an_installation_works(
    built: Built, tmp_path: Path, extras: frozenset[str]
) -> None:
    """In a clean environment: the README, ``dp``, each extra or its name, types."""
    python = make_environment(tmp_path / "environment", built.wheel, extras)

    tried = try_it(python, extras)

    assert dp_core.__version__ in tried
    assert len(EXTRAS) == tried.count(f"with{'' if extras else 'out'} [")
    if not extras:
        check_types(python, tmp_path)
