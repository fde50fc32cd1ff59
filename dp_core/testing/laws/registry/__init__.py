"""Laws of `dp_core.backend.Registry`: terms, deadlines and listings."""

from dp_core.testing.laws.registry import deadlines, listing, terms

__all__ = ["deadlines", "listing", "terms"]
