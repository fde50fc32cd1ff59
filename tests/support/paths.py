"""The folders of this repository."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["EXAMPLES", "NOTEBOOKS", "ROOT", "TESTS"]

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
EXAMPLES: Final = ROOT / "examples"
NOTEBOOKS: Final = ROOT / "notebooks"
