"""`resolves`: references to our names by another path than that of their page."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from from_code._names import public_names

__all__ = ["resolves"]


def resolves(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Any) -> Any:
    """
    Return the link of a reference that Sphinx did not find, or None.

    A name may be exported by several modules, and signatures have the private
    module that defines it.
    """
    if node.get("refdomain") != "py" or not node["reftarget"].startswith("dp_"):
        return None
    target = _described(node["reftarget"])
    if target is None:
        return None
    python = env.domains.python_domain
    return python.resolve_xref(
        env, node["refdoc"], app.builder, "obj", target, node, text
    )


def _described(target: str) -> str | None:
    """Return the path under which what *target* names is described."""
    module, _, name = target.rpartition(".")
    member = ""
    while module:
        try:
            value: Any = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            module, _, rest = module.rpartition(".")
            name, member = rest, f".{name}{member}"
            continue
        return next(
            (
                f"{found.home}.{found.name}{member}"
                for names in public_names().values()
                for found in names.values()
                if found.value is value and not isinstance(value, str | int | tuple)
            ),
            None,
        )
    return None
