"""
`described`: each public name with its signature, a line for each.

    make public-api

writes them to `SNAPSHOT`, so that a review sees what is added, changed or removed.
They are read from the sources: so overloads and annotations are as they were written,
and the same for every Python.
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from from_code._names import Name, public_names
from support.paths import SOURCES, TESTS, nodes, parsed

__all__ = ["SNAPSHOT", "described", "main"]

SNAPSHOT: Final = TESTS / "packaging" / "release" / "public_api.txt"
"""The public names as they were last looked at."""

_LONGEST: Final = 100
"""The longest value that is shown, in characters."""
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def described() -> str:
    """Return the public names as a text."""
    lines: list[str] = []
    for module, names in public_names().items():
        lines.append(f"[{module}]")
        for name in names.values():
            if name.home != module:
                lines.append(f"{name.name} = {name.home}.{name.name}")
            else:
                lines += _described(name)
        lines.append("")
    return "\n".join(lines)


def _described(name: Name) -> Iterator[str]:
    if inspect.isclass(name.value) and name.name in _classes():
        yield from _class(name.name, name.origin)
        return
    yield from _members(parsed(name.origin).body, lambda found: found == name.name)


def _class(name: str, origin: str) -> Iterator[str]:
    node = _node(name, origin)
    yield f"class {name}({', '.join(map(ast.unparse, node.bases))})"
    yield from (f"    {line}" for line in _of_class(node, origin))


def _of_class(node: ast.ClassDef, origin: str) -> Iterator[str]:
    """Return what a class has, and what it has from private bases."""
    yield from _members(node.body, _is_public)
    for base in node.bases:
        found = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(found, ast.Name) and found.id in _classes():
            yield from _inherited(found.id, origin)


def _inherited(name: str, origin: str) -> Iterator[str]:
    if not any(name in names for names in public_names().values()):
        yield from _of_class(_node(name, origin), origin)


def _members(body: list[ast.stmt], is_asked: Any) -> Iterator[str]:
    has_overloads = {
        node.name
        for node in body
        if isinstance(node, _FUNCTIONS) and _is(node, "overload")
    }
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if is_asked(node.name):
                if node.name not in has_overloads or _is(node, "overload"):
                    yield _function(node)
            case ast.AnnAssign(ast.Name(name)) if is_asked(name):
                yield f"{name}: {ast.unparse(node.annotation)}{_value(node.value)}"
            case ast.Assign([ast.Name(name)]) if is_asked(name):
                yield f"{name}{_value(node.value)}"
            case ast.If(test=ast.UnaryOp(op=ast.Not())):
                pass  # refused, and not for type checkers
            case ast.If() | ast.Try():
                yield from _members([*node.body, *node.orelse], is_asked)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return (
        "".join(f"@{mark} " for mark in marks)
        + f"{kind} {node.name}({ast.unparse(node.args)}){returned}"
    )


def _value(value: ast.expr | None) -> str:
    text = "" if value is None else ast.unparse(value)
    return f" = {text}" if text and len(text) <= _LONGEST else ""


def _is(node: ast.FunctionDef | ast.AsyncFunctionDef, mark: str) -> bool:
    return any(ast.unparse(each) == mark for each in node.decorator_list)


def _is_public(name: str) -> bool:
    """Tell whether a name is for users; what Python itself calls is."""
    return not name.startswith("_") or (
        name.endswith("__") and name not in {"__slots__", "__match_args__", "__all__"}
    )


def _node(name: str, origin: str) -> ast.ClassDef:
    found = _classes()[name]
    return found.get(origin) or next(iter(found.values()))


@cache
def _classes() -> dict[str, dict[str, ast.ClassDef]]:
    """Return the classes of all modules: ``{class: {module: node}}``."""
    found: dict[str, dict[str, ast.ClassDef]] = defaultdict(dict)
    for module in SOURCES:
        for node in nodes(module):
            if isinstance(node, ast.ClassDef):
                found[node.name][module] = node
    return found


def main() -> None:
    """Write the snapshot."""
    SNAPSHOT.write_text(described(), encoding="utf-8")


if __name__ == "__main__":
    main()
