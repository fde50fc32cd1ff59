"""`make_link`: a link by which a person can look at a promise, and settle it."""

from __future__ import annotations

from datetime import datetime, timedelta

from dp_core._client._asked_terms import Deadline
from dp_core._clock import now
from dp_core._errors import InvalidLinkError
from dp_core._extras import without_extra
from dp_core._text import shown
from dp_core.backend import in_thread

__all__ = ["make_link"]


async def make_link(  # noqa: PLR0913, PLR0917 - as `Promises.link` has them
    url: str,
    id: str,
    expires: Deadline,
    by: str | None,
    base: str | None,
    secret: str | None,
) -> str:
    """Return a link to a promise of the store at *url*; see `Promises.link`."""
    try:
        from dp_core import _access  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise without_extra(error, "links need", "server") from None

    moment = _moment_later(expires)
    base = _access.link_base(base, url)
    if secret is None:
        secret = (await in_thread(_access.signing_secrets, None))[0]
    return _access.write_link(id, moment, secret, base, by)


def _moment_later(expires: Deadline) -> datetime:
    """
    Return the moment that is so far from now, or that moment itself.

    Raises:
        InvalidLinkError: It is not a moment.
    """
    if isinstance(expires, timedelta):
        try:
            return now() + expires
        except OverflowError:
            raise InvalidLinkError(
                "a link expires within the years 1 to 9999; give it less time"
            ) from None
    if isinstance(expires, datetime) and expires.utcoffset() is not None:
        return expires
    raise InvalidLinkError(
        f"{shown(expires)} is not a valid time; write timedelta(days=3), or a datetime "
        "with a time zone"
    )
