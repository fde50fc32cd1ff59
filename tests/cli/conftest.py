"""The program ``dp`` with a store of its own for each test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.core.program import PROGRAM, SCRIPTS, Done, Run


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose default store is a new directory."""
    path = f"{SCRIPTS}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DP_URL": f"file:{tmp_path}/promises"}


@pytest.fixture
def dp(env: dict[str, str]) -> Run:
    """Return a function that runs the program to its end."""

    def run(*arguments: str | bytes, **options: Any) -> Done:
        options = {"input": b"", "env": env, "timeout": 60} | options
        return subprocess.run(
            [*PROGRAM, *arguments], capture_output=True, check=False, **options
        )

    return run
