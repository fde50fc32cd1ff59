"""`publish`: public classes say where users import them from."""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["publish"]


def publish(package: str, names: Iterable[str]) -> None:
    """
    Let reprs and tracebacks say ``dp_core.Resolved``, as users write it.

    A class knows the module that defines it, such as ``dp_core._states``. A
    package calls this once, at the end of its ``__init__``, for the names that
    it re-exports from its private modules.

    Args:
        package: The ``__name__`` of the package that re-exports the names.
        names: Its ``__all__``.
    """
    members = vars(sys.modules[package])
    for name in names:
        home = getattr(members[name], "__module__", None) or ""
        # Ours, private, and not yet published by a package nearer to it.
        if home.startswith("dp_") and "._" in home:
            members[name].__module__ = package
