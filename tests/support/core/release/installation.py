"""
Installations of a wheel in environments that have nothing else than it needs.

    PYTHONPATH=tests python -m support.core.release.installation WHEEL

tries it on each Python that is supported, with packages from the index; `make
release-check` does. Tests make theirs from the packages that are installed here.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.paths import ROOT, TESTS

__all__ = [
    "EXTRAS",
    "PYTHONS",
    "RELEASE",
    "check_types",
    "make_environment",
    "needed",
    "try_it",
]

RELEASE: Final = TESTS / "packaging" / "release"
"""The programs that try an installation."""

_PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: Final = frozenset(_PROJECT["optional-dependencies"])
"""The extras of the library."""
_PYTHON: Final = "Programming Language :: Python :: "
PYTHONS: Final = [
    line.removeprefix(_PYTHON)
    for line in _PROJECT["classifiers"]
    if line.startswith(_PYTHON)
]
"""The versions of Python that it supports."""


def needed(extras: Iterable[str]) -> set[Distribution]:
    """Return what is installed here of what the library needs with some extras."""
    asked = [Requirement(text) for text in _PROJECT["dependencies"]]
    for extra in extras:
        asked += map(Requirement, _PROJECT["optional-dependencies"][extra])
    found: dict[tuple[str, str], Distribution] = {}
    while asked:
        requirement = asked.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key in found:
                continue
            found[key] = distribution(requirement.name)
            asked += [
                each
                for each in map(Requirement, found[key].requires or ())
                if each.marker is None or each.marker.evaluate({"extra": extra})
            ]
    return {found[key] for key in found if not key[1]}


def make_environment(place: Path, wheel: Path, extras: Iterable[str]) -> Path:
    """
    Make an environment with a wheel and with what it needs, by links; no network.

    Returns:
        Its interpreter.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    _pip(python, "install", "--no-deps", "--no-index", "--quiet", str(wheel))
    [site] = place.glob("lib/python3*/site-packages")
    for dist in needed(extras):
        for top in {file.parts[0] for file in dist.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(dist.locate_file(top))))
    return python


def try_it(python: Path, extras: Iterable[str]) -> str:
    """
    Try an installation, in a directory of its own; return what was tried.

    Raises:
        AssertionError: Something does not work; the text says what.
    """
    done = subprocess.run(
        [python, "-I", RELEASE / "trial.py", ROOT, ",".join(sorted(extras))],
        capture_output=True,
        check=False,
        env={name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
        text=True,
        timeout=600,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def check_types(python: Path, place: Path) -> None:
    """
    Check a typed program against an installation, by mypy, and pyright if it is there.

    Raises:
        AssertionError: They do not understand it as its author does.
    """
    program = shutil.copy(RELEASE / "program_of_a_user.py", place)
    # Not the settings of this repository, which find its sources.
    (place / "mypy.ini").write_text("[mypy]\nstrict = true\n")
    run_mypy = [sys.executable, "-m", "mypy", "--python-executable", python, program]
    checkers = [run_mypy]
    if pyright := shutil.which("pyright", path=_WITH_PYRIGHT):
        checkers.append([pyright, "--pythonpath", python, program])
    for checker in checkers:
        done = subprocess.run(
            checker, capture_output=True, check=False, cwd=place, text=True, timeout=300
        )
        assert 0 == done.returncode, done.stdout + done.stderr


_WITH_PYRIGHT: Final = os.pathsep.join(
    [str(Path(sys.prefix, "node_modules", ".bin")), os.environ["PATH"]]
)


def _pip(python: Path, *arguments: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *arguments], check=True
    )


# On each Python that is supported ---------------------------------------------------


def _interpreter(version: str) -> str | None:
    """Return an interpreter on the PATH, or of pyenv, whose names may lead nowhere."""
    program = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(program), *pyenv.glob(f"versions/{version}.*/bin/{program}")]
    for candidate in filter(None, found):
        asked = subprocess.run(
            [candidate, "--version"], check=False, capture_output=True
        )
        if asked.returncode == 0:
            return str(candidate)
    return None


def _oldest(place: Path) -> Path:
    """Write constraints by which pip installs the oldest versions that we ask for."""
    texts = [_PROJECT["dependencies"], *_PROJECT["optional-dependencies"].values()]
    floors = {
        f"{requirement.name}=={part.version}"
        for requirement in map(Requirement, itertools.chain(*texts))
        for part in requirement.specifier
        if part.operator == ">="
    }
    file = place / "oldest.txt"
    file.write_text("\n".join(sorted(floors)), encoding="utf-8")
    return file


def _try_on(
    interpreter: str, wheel: Path, extras: Collection[str], pins: Path | None
) -> None:
    """Try a wheel in an environment of its own; None: with the oldest versions."""
    with TemporaryDirectory() as place:
        environment = Path(place, "environment")
        subprocess.run(
            [interpreter, "-m", "venv", "--without-pip", environment], check=True
        )
        python = environment / "bin" / "python"
        asked = f"{wheel.resolve()}[{','.join(sorted(extras))}]" if extras else wheel
        pins = pins or _oldest(Path(place))
        _pip(python, "install", "--quiet", "--constraint", pins, asked)
        print(try_it(python, extras), flush=True)
        check_types(python, Path(place))
        print(f"types, with the versions of {pins.name}\n", flush=True)


def main(wheel: Path) -> int:
    """Try a wheel on each Python that is supported; return an exit code."""
    missing = []
    pins = ROOT / "constraints.txt"
    for version in PYTHONS:
        interpreter = _interpreter(version)
        if interpreter is None:
            missing.append(version)
            continue
        for extras in (frozenset[str](), EXTRAS):
            _try_on(interpreter, wheel, extras, pins)
        if version == PYTHONS[0]:
            _try_on(interpreter, wheel, EXTRAS, None)
    for version in missing:
        print(f"no python{version} here: not tried", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
