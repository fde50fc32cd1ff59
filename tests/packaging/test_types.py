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


def test_pyright_understands_the_public_types() -> None:
    """Pyright, strict, agrees with every type that the samples assert."""
    places = [str(Path(sys.prefix, "node_modules", ".bin")), os.environ["PATH"]]
    pyright = shutil.which("pyright", path=os.pathsep.join(places))
    if pyright is None:
        missing = "no pyright; npm install --prefix .venv pyright"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)

    done = subprocess.run(
        [pyright, "--pythonpath", sys.executable, str(SAMPLES)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=300,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "0 errors" in done.stdout
