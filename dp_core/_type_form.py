"""`TypeForm`: a type as an argument, for type checkers (PEP 747)."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["TypeForm"]

if TYPE_CHECKING:
    # Type checkers bring what they know of it; it need not be installed.
    from typing_extensions import TypeForm
else:
    # For `typing.get_type_hints`.
    TypeForm = type
