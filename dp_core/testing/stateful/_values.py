"""`json_values`, `messages`, `outcomes`: strategies for what promises hold."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

from dp_core._states import Outcome, Rejected, Resolved
from dp_core.values import encode

__all__ = ["json_values", "messages", "outcomes"]


def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values, with any text, integer and float."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | messages()
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(messages(), inner, max_size=4)
        ),
        max_leaves=8,
    )


def messages() -> st.SearchStrategy[str]:
    """Return a strategy for messages of rejections: any text."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def outcomes() -> st.SearchStrategy[Outcome[bytes]]:
    """Return a strategy for outcomes: values and rejections."""
    values = json_values().map(encode).map(Resolved)
    rejections: st.SearchStrategy[Outcome[bytes]] = messages().map(Rejected)
    return values | rejections
