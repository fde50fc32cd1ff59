"""`write_outcome`, `outcome_of`: outcomes as JSON."""

from __future__ import annotations

from dp_core._errors import ProtocolError
from dp_core._states import Outcome, Rejected, Resolved
from dp_core.values import check_message, check_text, decode, encode
from dp_core.wire._terms._objects import Members, write_object

__all__ = ["outcome_members", "outcome_of", "write_outcome"]


def write_outcome(outcome: Outcome[bytes]) -> bytes:
    """Return an outcome as a JSON object: ``{"value": …}`` or ``{"error": …}``."""
    if isinstance(outcome, Resolved):
        return b'{"value":%b}' % outcome.value
    return write_object(outcome_members(outcome))


def outcome_members(outcome: Outcome[bytes]) -> dict[str, bytes]:
    """Return the member that says an outcome: ``value`` or ``error``."""
    if isinstance(outcome, Resolved):
        return {"value": outcome.value}
    return {"error": encode(outcome.error, len(outcome.error) * 6 + 2)}


def outcome_of(members: Members, limit: int) -> Outcome[bytes] | None:
    """Return the outcome that a member ``value`` or ``error`` says; None: neither."""
    if "error" in members:
        if "value" in members:
            raise ProtocolError(400, "it has a 'value' and an 'error'")
        text = members["error"]
        if not text.startswith(b'"'):
            raise ProtocolError(400, "'error' is not a string")
        return Rejected(check_message(decode(text), limit))
    if "value" in members:
        return Resolved(check_text(members["value"], limit))
    return None
