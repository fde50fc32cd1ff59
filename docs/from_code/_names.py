"""`Name`: what a public module exports, where it is described, where it is from."""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, Final, final

import dp_backends
import dp_core

__all__ = ["Name", "public_modules", "public_names"]

PACKAGES: Final = (dp_core, dp_backends)


@final
@dataclass(frozen=True, slots=True)
class Name:
    """
    A name in the ``__all__`` of a public module.

    Attributes:
        name: The name.
        value: What it stands for.
        home: The one public module on whose page it is described.
        origin: The module whose source defines it.
    """

    name: str
    value: Any
    home: str
    origin: str


@cache
def public_modules() -> dict[str, ModuleType]:
    """Return the modules that users may import, and that have names for them."""
    names = [
        info.name
        for package in PACKAGES
        for info in walk_packages(package.__path__, f"{package.__name__}.")
        if not any(part.startswith("_") for part in info.name.split("."))
    ]
    modules = {name: import_module(name) for name in (dp_core.__name__, *names)}
    return {name: m for name, m in modules.items() if getattr(m, "__all__", ())}


@cache
def public_names() -> dict[str, dict[str, Name]]:
    """Return ``{module: {name: Name}}`` for all public modules."""
    modules = public_modules()
    values = {
        module: {name: getattr(found, name) for name in found.__all__}
        for module, found in modules.items()
    }
    exporters: dict[int, list[str]] = defaultdict(list)
    for module in sorted(modules, key=lambda name: (name.count("."), name)):
        for value in values[module].values():
            exporters[id(value)].append(module)
    return {
        module: {
            name: Name(
                name,
                value,
                _home(value, module, exporters[id(value)]),
                _origin(module, name),
            )
            for name, value in found.items()
        }
        for module, found in values.items()
    }


def _home(value: Any, module: str, exporters: Sequence[str]) -> str:
    """
    Return the module that describes *value*.

    That is the one the value says it is from, if that exports it; else the
    first of those that do.
    """
    if isinstance(value, str | int | float | tuple | frozenset):
        # Two constants may be one object by chance.
        return module
    own = str(getattr(value, "__module__", ""))
    return own if own in exporters else exporters[0]


def _origin(module: str, name: str) -> str:
    """Follow the imports of *name* to the module that defines it."""
    for node in _imports(module):
        if node.module:
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _origin(node.module, alias.name)
                if alias.name == "*" and name in import_module(node.module).__all__:
                    return _origin(node.module, name)
    return module


@cache
def _imports(module: str) -> list[ast.ImportFrom]:
    tree = ast.parse(inspect.getsource(import_module(module)))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
