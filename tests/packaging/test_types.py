"""Type checkers of users: both understand what the library promises them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT, TESTS

SAMPLES = TESTS / "packaging" / "typing"
FORMS = SAMPLES / "forms.py"


def pyright() -> str:
    """Return where pyright is; skip the test where it is not."""
    places = [str(Path(sys.prefix, "node_modules", ".bin")), os.environ["PATH"]]
    found = shutil.which("pyright", path=os.pathsep.join(places))
    if found is None:
        missing = "no pyright; npm install --prefix .venv pyright"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    return found


def check(*command: str, cwd: Path) -> str:
    """Return what a type checker prints that finds nothing wrong."""
    done = subprocess.run(
        command, capture_output=True, check=False, cwd=cwd, text=True, timeout=300
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_pyright_understands_the_public_types() -> None:
    """Pyright, strict, agrees with every type that the samples assert."""
    command = (pyright(), "--pythonpath", sys.executable, str(SAMPLES))

    assert "0 errors" in check(*command, cwd=ROOT)


def test_a_users_settings_do_not_matter(tmp_path: Path) -> None:
    """Mypy and pyright infer the type of a promise without settings, too."""
    shutil.copy(FORMS, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text("{}", "utf-8")

    command = (pyright(), "--pythonpath", sys.executable, FORMS.name)
    assert "0 errors" in check(*command, cwd=tmp_path)
    command = (sys.executable, "-m", "mypy", "--cache-dir", os.devnull, FORMS.name)
    assert "Success" in check(*command, cwd=tmp_path)
