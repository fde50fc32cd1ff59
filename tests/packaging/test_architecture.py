"""Which module may import which: the levels of docs/explanation/architecture.md."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import PurePath
from typing import Final

import pytest

from support.paths import ROOT, SOURCES, nodes

PAGE: Final = ROOT / "docs" / "explanation" / "architecture.md"


def levels() -> tuple[tuple[str, ...], ...]:
    """
    Return the levels of dp_core as the page on the architecture draws them.

    A module may import what is above it there, and within its own part. The line
    ``dp_core`` is the package's own ``__init__``, part "".
    """
    _, section = PAGE.read_text(encoding="utf-8").split("## The direction of imports")
    drawing = section.split("```text\n")[1].split("```")[0]
    lines = [line.split("  the public names")[0] for line in drawing.splitlines()]
    return tuple(
        tuple("" if word == "dp_core" else word for word in line.split())
        for line in lines
    )


LEVEL_OF: Final = {part: n for n, parts in enumerate(levels()) for part in parts}


def imports(tree: Iterable[ast.AST]) -> set[tuple[str, str | None]]:
    """
    Return what a module imports whose nodes are given, also in functions.

    Returns:
        Pairs of a module and the name that is imported from it, if any.
    """
    found: set[tuple[str, str | None]] = set()
    for node in tree:
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert 0 == node.level, f"a relative import: {ast.unparse(node)}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner in SOURCES
                found.add((inner, None) if is_module else (node.module, alias.name))
    return found


@cache
def imported_modules(name: str) -> set[str]:
    """Return the modules of this project that a module imports."""
    return {module for module, _ in imports(nodes(name)) if module in SOURCES}


def part_of(module: str) -> str:
    """Return the second component of a module's name, the part it belongs to."""
    return (*module.split("."), "")[1]


def test_the_sources_are_found() -> None:
    """The tests below look at the real thing."""
    assert {"dp_core", "dp_core._states", "dp_core.cli._main"} <= set(SOURCES)
    assert {"dp_backends.memory", "dp_backends.file"} <= set(SOURCES)


def test_hidden_imports_are_seen() -> None:
    """An import inside a function, and of a submodule by its name, counts."""
    source = "def f():\n    import a.b\n    from dp_core import _states, Pending\n"

    expected = {("a.b", None), ("dp_core._states", None), ("dp_core", "Pending")}
    assert expected == imports(ast.walk(ast.parse(source)))


def test_no_cycles() -> None:
    """No modules import each other, not even in a roundabout way."""
    graph = {name: imported_modules(name) - {name} for name in SOURCES}

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def is_below(imported: str, name: str) -> bool:
    """Return whether a module is of a lower level of dp_core, or of the same part."""
    part, own = part_of(imported), part_of(name)
    return imported.startswith("dp_core") and (
        part == own or LEVEL_OF[part] < LEVEL_OF[own]
    )


def test_the_core_imports_only_what_is_below() -> None:
    """A module of dp_core imports from lower levels, or from its own part."""
    assert [] == [
        f"{name} imports {imported}"
        for name in SOURCES
        if name.startswith("dp_core")
        for imported in imported_modules(name)
        if not is_below(imported, name)
    ]


def test_every_part_of_the_core_has_a_level() -> None:
    """The page names every module and package of dp_core, and no other."""
    parts = {part_of(name) for name in SOURCES if name.startswith("dp_core")}

    assert parts == set(LEVEL_OF)


def is_inside(name: str, module: str) -> bool:
    """Return whether a module may be imported: it is public, or of the same package."""
    package, _, private = module.rpartition(".")
    hidden = private.startswith("_") and private != "__main__"
    return not hidden or f"{name}.".startswith(f"{package}.")


def test_rooms_are_entered_by_their_door() -> None:
    """A module whose name begins with "_" is imported within its package only."""
    assert [] == [
        f"{name} imports {module}"
        for name in SOURCES
        for module in imported_modules(name)
        if not is_inside(name, module)
    ]


def is_for_backends(name: str, module: str, imported: str | None) -> bool:
    """Return whether a backend may import a module, or a name from one."""
    match module.split(".", maxsplit=1)[0]:
        case "dp_backends":
            shared = (part_of(name), "_system", "_urls", "_working")
            return part_of(module) in shared
        case "dp_core":
            return "._" not in module and (
                imported is None or imported in importlib.import_module(module).__all__
            )
        case _:
            return True


def test_backends_use_only_public_names() -> None:
    """A backend imports nothing private of dp_core, and no other backend.

    What several stores have in common is theirs: `_system`, `_urls` and `_working`.
    """
    assert [] == [
        f"{name} imports {module}.{imported or ''}"
        for name in SOURCES
        if name.startswith("dp_backends")
        for module, imported in imports(nodes(name))
        if not is_for_backends(name, module, imported)
    ]


def shown(*patterns: str) -> list[PurePath]:
    """Return the files that git shows, of those that match, from the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: nobody knows what belongs to the repository")
    command = ["git", "ls-files", "-z", "--", *patterns]
    listed = subprocess.check_output(command, cwd=ROOT, text=True)
    return [PurePath(path) for path in listed.split("\0") if path]


def test_modules_are_small() -> None:
    """No module has more than 400 lines: of the product, of tests, pages, examples."""
    rooms = ("dp_core", "backends", "tests", "docs", "examples", "benchmarks")
    lines = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in shown(*(f"{room}/*.py" for room in rooms))
        if (ROOT / path).exists()
    }

    assert set(rooms) == {path.split("/")[0] for path in lines}
    assert {} == {path: n for path, n in lines.items() if n > 400}


def folders() -> dict[str, int]:
    """Return how many names git shows in each folder of code and tests."""
    names = defaultdict(set)
    for path in shown("dp_core", "backends", "tests"):
        for child, parent in pairwise((path, *path.parents)):
            names[str(parent)].add(child.name)
    return {folder: len(children) for folder, children in names.items()}


def test_folders_are_read_at_a_glance() -> None:
    """No folder shows more than 12 names, but for the root of dp_core and the repo."""
    large = {folder: n for folder, n in folders().items() if n > 12}

    assert set() == set(large) - {"dp_core", "."}, large


def test_a_table_of_modules_is_whole() -> None:
    """Where the docstring of a package has a table of its modules, all are in it."""
    missing: dict[str, set[str]] = {}
    for path in shown("dp_core/*__init__.py", "backends/*__init__.py"):
        text = ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8"))) or ""
        if not re.search(r"^``_\w+`` +\w", text, re.MULTILINE):
            continue
        room = f"{path.parent}/"
        below = {
            child.relative_to(path.parent).parts[0].removesuffix(".py")
            for child in shown(f"{room}*.py")
        }
        private = {name for name in below if re.match("_[a-z]", name)}
        told = set(re.findall(r"``(_\w+)``", text))
        if private != told:
            missing[room] = private ^ told

    assert {} == missing
