"""The guide for authors of backends: its code runs, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from typing import Final

from support.docs.documents import Block, blocks
from support.paths import EXAMPLES

GUIDE: Final = "docs/how-to/write-a-backend.md"
EXAMPLE: Final = EXAMPLES / "third_party_backend"
FOUND: Final = blocks(GUIDE)

# What comes before shows what it prints; what comes after is the example's.
LAST_STEP: Final = max(
    n for n, block in enumerate(FOUND) if "compare(Right)" in block.text
)
STEPS: Final = FOUND[: LAST_STEP + 2]
EXCERPTS: Final = FOUND[LAST_STEP + 2 :]

MARK: Final = "\f"

# Every run of the laws makes up ids of its own.
MADE_UP: Final = re.compile(r"(?<=')[0-9a-f]{10}(?=-\d+')")


def shown(steps: list[Block]) -> list[str]:
    """Return what the guide shows below each piece of code; "" for nothing."""
    return [
        below.text if below.language == "text" else ""
        for code, below in pairwise([*steps, Block("", "")])
        if code.language == "python"
    ]


def test_each_step_breaks_the_laws_that_the_guide_names() -> None:
    """Run from top to bottom, the code prints what is shown below each piece."""
    pieces = [block.text for block in STEPS if block.language == "python"]
    script = f"\nprint({MARK!r}, end='')\n".join(pieces)

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert "" == done.stderr
    ids_apart = [MADE_UP.sub("id", text) for text in shown(STEPS)]
    assert ids_apart == MADE_UP.sub("id", done.stdout).split(MARK)


def test_the_guide_goes_from_many_broken_laws_to_none() -> None:
    """What is compared above is there: the first and the last verdict."""
    verdicts = [text for text in shown(STEPS) if "broken" in text]

    assert "first-completion-wins" in verdicts[0]
    assert verdicts[-1].endswith("0 laws are still broken, 0 of them new.\n")
    assert 7 == len(verdicts)


def test_what_the_guide_shows_of_the_example_is_in_it() -> None:
    """Each excerpt stands so in a file of the example; the crash sweep is run."""
    files = [path.read_text() for path in EXAMPLE.iterdir() if path.is_file()]
    excerpts = [
        block.text
        for block in EXCERPTS
        if block.language != "console" and "await crash_sweep(" not in block.text
    ]

    assert ["python", "python", "toml", "python", "python", "python"] == [
        block.language for block in EXCERPTS if block.text in excerpts
    ]
    assert [] == [text for text in excerpts if not any(text in file for file in files)]
