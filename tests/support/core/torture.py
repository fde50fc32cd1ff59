"""`TORTURE`: whether tests are to try more than they have time for every day."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["TORTURE"]

TORTURE: Final = bool(os.environ.get("DP_TORTURE"))
