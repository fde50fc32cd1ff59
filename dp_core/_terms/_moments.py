"""`moment_after`, `whole_moment`: deadlines that the calendar and all stores have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dp_core._errors import InvalidTermsError
from dp_core._text import shown

__all__ = ["moment_after", "whole_moment"]


def moment_after(moment: datetime, within: timedelta) -> datetime:
    """
    Return the deadline that is so far from a moment.

    Raises:
        InvalidTermsError: It is out of the calendar.
    """
    try:
        return moment + within
    except OverflowError:
        raise _out_of_calendar() from None


def _out_of_calendar() -> InvalidTermsError:
    return InvalidTermsError(
        "the deadline is not within the years 1 to 9999; leave it out for never"
    )


def whole_moment(moment: object) -> datetime:
    """Return a moment in UTC and whole milliseconds, rounded up."""
    if not isinstance(moment, datetime):
        raise InvalidTermsError(
            f"{shown(moment)} is not a valid deadline; write a timedelta from now, "
            "such as timedelta(days=3), or a datetime with a time zone"
        )
    if moment.utcoffset() is None:
        raise InvalidTermsError(
            f"the deadline {moment.isoformat()} has no time zone; write "
            "datetime.now(UTC) instead of datetime.now(), or a timedelta from now"
        )
    try:
        moment = moment.astimezone(UTC)
        return moment + timedelta(microseconds=-moment.microsecond % 1000)
    except OverflowError:
        raise _out_of_calendar() from None
