"""The folders of this repository, and its modules by their names."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["EXAMPLES", "NOTEBOOKS", "ROOT", "SOURCES", "TESTS", "nodes", "parsed"]

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = ROOT / "tests"
EXAMPLES: Final = ROOT / "examples"
NOTEBOOKS: Final = ROOT / "notebooks"

SOURCES: Final[dict[str, Path]] = {
    ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): (
        path
    )
    for base, package in ((ROOT, "dp_core"), (ROOT / "backends", "dp_backends"))
    for path in (base / package).rglob("*.py")
}
"""``{dotted name: file}`` of every module of dp_core and dp_backends."""


@cache
def parsed(name: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


@cache
def nodes(name: str) -> list[ast.AST]:
    """Return all nodes of the syntax tree of a module."""
    return [*ast.walk(parsed(name))]
