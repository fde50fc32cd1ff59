"""The description against a real server: schemathesis makes requests of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.paths import ROOT
from support.server_process import running

pytestmark = pytest.mark.slow

SEED: Final = 20261127
EXAMPLES: Final = 5
"""The most requests that are made up for an operation, besides those of its schema."""

TOKEN: Final = "t" * 40

# Ten thousand ids, to see that one more is refused, take it half a minute to make up.
CONFIG: Final = """
[[operations]]
include-path = "/watch"
phases.coverage.enabled = false
"""


@pytest.mark.parametrize(
    ("store", "token", "phases"),
    [
        ("memory:", None, "examples,coverage,fuzzing"),
        ("memory:", TOKEN, "examples,fuzzing"),
        ("sqlite:", None, "examples,fuzzing"),
        ("sqlite:", TOKEN, "examples,coverage,fuzzing"),
    ],
    ids=["memory", "memory, a token", "sqlite", "sqlite, a token"],
)
def test_nothing_is_answered_that_is_not_described(
    store: str, token: str | None, phases: str, tmp_path: Path
) -> None:
    """
    No status, type or body that the document does not have, and no failure of ours.

    Bodies that fit their schema are taken, others refused, also without the token; and
    all operations were tried.
    """
    url = store if store == "memory:" else f"sqlite:{tmp_path}/promises.db"
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with running(url, token=token) as server:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={config}"),
            *("run", f"http://127.0.0.1:{server.port}/openapi.json"),
            *(f"--phases={phases}", f"--max-examples={EXAMPLES}"),
            *(f"--seed={SEED}", "--generation-database=none", "--no-color"),
            *("--request-timeout=30",),
            *(("-H", f"Authorization: Bearer {token}") if token else ()),
        ]
        hooks = "support.server.schemathesis_hooks"
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "tests"),
            "SCHEMATHESIS_HOOKS": hooks,
            "DP_TOKEN": token or "",
        }
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    # The seed is in it.
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"
    assert f"Seed: {SEED}" in done.stdout
    selected = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)\b", done.stdout)
    assert selected is not None
    assert 1 == len(set(selected.groups())), "not all were tried"
