"""Laws of `dp_core.backend.Registry`: terms, deadlines and listings."""

from __future__ import annotations

__all__: list[str] = []
