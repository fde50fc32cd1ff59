"""`DurablePromiseError`: the root of the tree."""

from __future__ import annotations

from dp_core._text import repr_of

__all__ = ["DurablePromiseError"]


class DurablePromiseError(Exception):
    """Base of all errors of this library."""

    def __repr__(self) -> str:
        # An argument may be what was refused because it cannot be shown.
        return f"{type(self).__name__}({', '.join(map(repr_of, self.args))})"
