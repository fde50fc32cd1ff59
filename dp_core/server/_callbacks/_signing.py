"""
`signed_headers`: signatures of callbacks, by Standard Webhooks.

The keys of all secrets sign, so that a receiver can go over from one to the next at any
time. https://www.standardwebhooks.com has the convention.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

__all__ = ["signed_headers"]

_PREFIX: Final = "whsec_"


def signed_headers(
    id: str, timestamp: int, body: bytes, keys: Sequence[str]
) -> dict[str, str]:
    """
    Return the headers that sign a callback.

    Args:
        id: The id of the delivery, the same for each attempt.
        timestamp: The time of the attempt, in seconds since 1970.
        body: The body.
        keys: The keys, as `webhook_keys` returns them.
    """
    signed = b"%b.%d.%b" % (id.encode(), timestamp, body)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(key, signed)}" for key in keys),
    }


def _signature(key: str, signed: bytes) -> str:
    secret = b64decode(key.removeprefix(_PREFIX))
    return b64encode(hmac.digest(secret, signed, "sha256")).decode()
