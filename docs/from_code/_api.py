"""The API: a page for each public module, with every name in its ``__all__``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from textwrap import indent
from typing import Any, Final

from sphinx.pycode import ModuleAnalyzer

from dp_core.testing import Law
from from_code._files import replace
from from_code._names import Name, public_modules, public_names

__all__ = ["skips", "write_api"]

_GROUPS: Final = ("Classes", "Functions", "Errors", "Data")


def write_api(folder: Path) -> None:
    """Write a page for each public module."""
    names = public_names()
    replace(
        folder,
        {f"{module}.md": _page(module, names[module]) for module in public_modules()},
    )


def _page(module: str, names: Mapping[str, Name]) -> str:
    return "\n".join(_lines(module, names))


def _lines(module: str, names: Mapping[str, Name]) -> Iterator[str]:
    yield f"# {module}\n"
    yield _rest(f".. automodule:: {module}\n   :no-members:")
    here = [name for name in names.values() if name.home == module]
    for group in _GROUPS:
        members = [name for name in here if _group(name.value) == group]
        if members:
            yield f"## {group}\n"
            for name in members:
                yield f"### {name.name}\n"
                yield _rest(_directive(name))
    elsewhere = [name for name in names.values() if name.home != module]
    if elsewhere:
        links = ", ".join(f"{{py:obj}}`{name.home}.{name.name}`" for name in elsewhere)
        yield f"## Described elsewhere\n\nThis module also exports {links}.\n"


def _rest(text: str) -> str:
    return f"```{{eval-rst}}\n{text}\n```\n"


def _group(value: Any) -> str:
    if inspect.isclass(value):
        return "Errors" if issubclass(value, BaseException) else "Classes"
    return "Functions" if inspect.isroutine(value) else "Data"


_AUTOMATIC: Final = {
    "Classes": "autoclass",
    "Errors": "autoexception",
    "Functions": "autofunction",
}


def _directive(name: Name) -> str:
    group = _group(name.value)
    if group in _AUTOMATIC:
        options = "\n   :show-inheritance:" if group == "Errors" else ""
        return f".. {_AUTOMATIC[group]}:: {name.home}.{name.name}{options}"
    # autodata knows the comments of one module only, and names are re-exported.
    value = _shown(name.value)
    options = f"   :module: {name.home}\n"
    options += f"   :value: {value}\n" if value else ""
    description = indent(_description(name), "   ")
    return f".. py:data:: {name.name}\n{options}\n{description}\n"


def _shown(value: Any) -> str | None:
    text = repr(value)
    return text if len(text) <= 160 and not text.startswith("<") else None


def _description(name: Name) -> str:
    if isinstance(name.value, Law):
        return name.value.sentence
    comments = ModuleAnalyzer.for_module(name.origin).find_attr_docs()
    return "\n".join(comments.get(("", name.name), []))


def skips(app: object, what: str, name: str, value: object, *_: object) -> bool | None:
    """
    Say which members of a class are left out: all but methods and properties.

    Fields are in the class's "Attributes" section, where they have a meaning.
    """
    shown = inspect.isroutine(value) or isinstance(value, property | Enum)
    return True if what == "class" and not (shown and value.__doc__) else None
