"""The modules of this project, by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from support.paths import ROOT

__all__ = ["SOURCES"]

SOURCES: Final[dict[str, Path]] = {
    ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): (
        path
    )
    for base, package in ((ROOT, "dp_core"), (ROOT / "backends", "dp_backends"))
    for path in (base / package).rglob("*.py")
}
"""``{dotted name: file}`` of every module of dp_core and dp_backends."""
