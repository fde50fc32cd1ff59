"""The code of docs/how-to/observe-operations.md runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.docs.documents import blocks

PAGE: Final = "docs/how-to/observe-operations.md"
LOG, METRIC = range(2)


def run(code: str, directory: Path) -> str:
    """Run a program; return its output, in which every time is 0.0."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return re.sub(r"\d+\.\d ms", "0.0 ms", done.stdout)


@pytest.mark.parametrize("example", [LOG, METRIC])
def test_an_example_prints_what_is_below_it(example: int, tmp_path: Path) -> None:
    """Log lines and counters are those of the page, but for the time."""
    code = [block.text for block in blocks(PAGE) if block.language == "python"]
    output = [block.text for block in blocks(PAGE) if block.language == "text"]

    assert output[example] == run(code[example], tmp_path)
