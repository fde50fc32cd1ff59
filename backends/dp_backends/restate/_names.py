"""
Names of our services and handlers, as Restate and its callers know them.

They are those of Restate's example, and part of the wire and of stored state: a
change of one would lose promises.
"""

from __future__ import annotations

from typing import Final

__all__ = ["AWAIT", "FORGET", "OBJECT", "SERVICE", "WAKE"]

OBJECT: Final = "promises"
"""The virtual object; its keys are ids."""

SERVICE: Final = "promise"
"""The service that takes the id from the body."""

AWAIT: Final = "await"
FORGET: Final = "forget"
WAKE: Final = "wake"
