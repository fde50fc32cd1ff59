"""The exchanges that were recorded from the reference, as they are kept."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

__all__ = ["RECORDED"]

RECORDED: Final[list[dict[str, Any]]] = json.loads(
    files("dp_core.testing").joinpath("restate-wire.json").read_text("utf-8")
)
"""Each with its ``case``, ``path``, ``request`` and ``response``."""
