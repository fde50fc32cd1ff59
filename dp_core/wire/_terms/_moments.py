"""`write_moment`, `read_moment`: moments as RFC 3339 has them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from dp_core._errors import InvalidTermsError
from dp_core._text import quoted
from dp_core.wire._terms._objects import Members, text_of

__all__ = ["moment_of", "read_moment", "write_moment"]


def write_moment(moment: datetime) -> str:
    """Return a moment as RFC 3339 has it, in UTC: ``2026-11-26T14:30:00.250Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    kind = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=kind).removesuffix("+00:00") + "Z"


# What datetime.fromisoformat takes besides: dates alone, weeks, no zone.
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def read_moment(text: str) -> datetime:
    """
    Return the moment that a text of RFC 3339 says, in UTC.

    Raises:
        InvalidTermsError: It does not say one.
    """
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidTermsError(
        f"{quoted(text)} is not a valid moment; write it as RFC 3339 does, with its "
        "zone, such as 2026-11-26T14:30:00Z"
    )


def moment_of(members: Members, key: str) -> datetime | None:
    """Return the moment that a member says; None if it is not there, or null."""
    text = text_of(members, key)
    return None if text is None else read_moment(text)
