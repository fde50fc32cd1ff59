"""Commands of docs/how-to/move-to-restate.md, run with a Restate."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT
from support.restate import RestateServer, running

PAGE = ROOT / "docs" / "how-to" / "move-to-restate.md"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a reader, with ``dp`` in PATH."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("DP_")}
    return {**mine, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_commands_run(program: None, tmp_path: Path, shell: dict[str, str]) -> None:
    """The commands print what the page says, one after the other."""
    blocks = re.findall(
        r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    expected = "".join(blocks)
    with running(RestateServer(tmp_path / "restate")) as restate:

        def output(line: str) -> str:
            line = line.replace("http://localhost:8080", restate.url)
            line = line.replace(
                "restate ids", f"restate ids --admin {restate.admin_url}"
            )
            done = subprocess.check_output(
                ["bash", "-c", f"exec 2>&1; {line}"],
                cwd=tmp_path,
                env=shell,
                text=True,
                timeout=60,
            )
            return done.replace(restate.url, "http://localhost:8080")

        lines = re.findall(r"^\$ (.*)$", expected, re.MULTILINE)
        printed = "".join(f"$ {line}\n{output(line)}" for line in lines)

    assert 3 < len(lines)
    assert expected == printed
