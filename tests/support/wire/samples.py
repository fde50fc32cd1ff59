"""Ids, values, outcomes and calls of every kind, for properties of the wire."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from dp_core import MAX_ID_BYTES, Rejected, Resolved
from dp_core.wire import Dispose, Peek, Settle, Wait

__all__ = ["CALLS", "IDS", "JSON_VALUES", "OUTCOMES", "VALUES"]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
IDS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    .filter(bool)
    .filter(lambda id: len(id.encode()) <= MAX_ID_BYTES)
)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)
VALUES = JSON_VALUES.map(
    lambda value: json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()
)
OUTCOMES = VALUES.map(Resolved) | TEXTS.map(Rejected)
CALLS = (
    IDS.map(Peek) | IDS.map(Wait) | IDS.map(Dispose) | st.builds(Settle, IDS, OUTCOMES)
)
