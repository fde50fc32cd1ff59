"""
`RECORDED`: the violation of each mutant, as the kit prints it, for the docs.

A run over all mutants takes minutes, so its results are kept in a file beside
this module. To write it again after a change of the kit or of a mutant::

    PYTHONPATH=tests python -m mutants.contract.violations
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mutants.contract.registry import MUTANTS, load
from mutants.contract.verdicts import its_violation, judged

__all__ = ["RECORDED", "reproducible"]

_FILE: Final = Path(__file__).with_suffix(".json")
_PREFIX: Final = re.compile(r"[0-9a-f]{10}(?=-\d)")
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")

RECORDED: Final[Mapping[str, str]] = json.loads(_FILE.read_text("utf-8"))
"""``{mutant: violation}``, with ``id`` for the random part of the ids."""


def reproducible(violation: str) -> str:
    """Return *violation* without the parts that differ from run to run."""
    return _ADDRESS.sub("0x…", _PREFIX.sub("id", violation))


def _record() -> None:
    load()
    found = judged(its_violation, "asyncio", sorted(MUTANTS))
    if missed := [name for name, violation in found.items() if not violation]:
        raise SystemExit(f"not caught: {', '.join(missed)}")
    texts = {name: reproducible(violation) for name, violation in found.items()}
    _FILE.write_text(
        json.dumps(texts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    _record()
