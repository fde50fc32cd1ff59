"""
Names of our services and handlers, as Restate and its callers know them.

They are those of Restate's example, and part of the wire and of stored state: a
change of one would lose promises.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AWAIT",
    "EXPIRE",
    "FORGET",
    "INFO",
    "OBJECT",
    "SERVICE",
    "SETTLE_BY",
    "WAKE",
]

OBJECT: Final = "promises"
"""The virtual object; its keys are ids."""

SERVICE: Final = "promise"
"""The service that takes the id from the body."""

AWAIT: Final = "await"
FORGET: Final = "forget"
WAKE: Final = "wake"

# Ours alone, since there are terms.
INFO: Final = "info"
EXPIRE: Final = "expire"
SETTLE_BY: Final = "settleBy"
