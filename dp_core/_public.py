"""`publish`: public classes say where users import them from."""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["publish"]


def publish(package: str, names: Iterable[str], *, rooms: bool = False) -> None:
    """
    Let reprs and tracebacks say ``dp_core.Resolved``, as users write it.

    A class knows the module that defines it, such as ``dp_core._states``. A
    package calls this once, at the end of its ``__init__``, for the names that
    it re-exports from its private modules.

    Args:
        package: The ``__name__`` of the package that re-exports the names.
        names: Its ``__all__``.
        rooms: Whether also what packages inside of it have published is imported
            from here.
    """
    members = vars(sys.modules[package])
    for name in names:
        # An instance says its class's module, and has none of its own.
        if not hasattr(members[name], "__qualname__"):
            continue
        home = getattr(members[name], "__module__", None) or ""
        # Ours, private, and not yet published by a package nearer to it.
        private = home.startswith("dp_") and "._" in home
        if private or (rooms and home.startswith(f"{package}.")):
            members[name].__module__ = package
