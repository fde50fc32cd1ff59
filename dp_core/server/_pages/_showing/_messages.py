"""`failure_page`: a failure as a page that says what happened, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dp_core._access import TOKEN_IS_OVER
from dp_core._errors import DurablePromiseError, OutcomeUnknownError, ProtocolError
from dp_core.server._guarding import UNKNOWN_PAGE
from dp_core.server._pages._showing._rendering import rendered
from dp_core.server._routing import Response
from dp_core.values import decode
from dp_core.wire import write_error

__all__ = ["failure_page"]

_TEXTS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("This cannot be understood", "Go back, and try again."),
    401: ("A token is needed here", ""),
    403: (
        "This is not allowed",
        "Ask whoever gave you the link, or the token, for one that allows it.",
    ),
    404: ("There is nothing here", "Look at the address, or open your link again."),
    405: ("This cannot be done here", "Go back, and use the buttons of the page."),
    408: ("That took too long", "Nothing was changed. Go back, and try again."),
    410: ("This promise is gone", "Ask whoever sent you the link."),
    413: ("That is too long", "Nothing was changed. Go back, and give a shorter one."),
    415: ("This is not a form of ours", "Go back, and use the buttons of the page."),
    421: (
        "This server does not go by that name",
        "Open it by its own name, or let its owner allow this one.",
    ),
    422: ("That cannot be kept", "Nothing was changed. Go back, and mend it."),
    500: (
        "It is not known whether that was done",
        "Open this page again: it shows how things are.",
    ),
    501: (
        "The store of this server cannot do that",
        "It keeps outcomes only. A promise can be opened by its id.",
    ),
    503: (
        "The server cannot answer now",
        "Nothing was changed. Try again in a minute.",
    ),
}
"""``{status: heading, and what to do}``."""

_LINK_OVER: Final = (
    "This link has expired",
    "Ask whoever sent it to you for a new one. Nothing was changed.",
)
_LINK_WRONG: Final = (
    "This link is not valid",
    "It may have been cut short on its way: open all of it, or ask for a new one.",
)

_PAGE_UNKNOWN: Final = (
    "This form may be from another site",
    (
        "Nothing was changed. Open the page again in a current browser, and send the "
        "form from there. If that does not help, a proxy on the way takes the header "
        "Origin away: tell the owner of this server."
    ),
)


def failure_page(
    error: DurablePromiseError,
    *,
    root: str,
    by_link: bool = False,
    next: str = "",
) -> Response:
    """
    Return the page that says a failure.

    Args:
        error: The failure, as clients may see it.
        root: The way to where the app is.
        by_link: Whether the reader came by a link, and knows of nothing else here.
        next: Where to go with a token, below the root.
    """
    status, body = write_error(error)
    heading, todo = _TEXTS.get(status, _TEXTS[400 if status < 500 else 500])
    what = str(decode(body)["message"])
    if isinstance(error, ProtocolError) and status == 401 and by_link:
        heading, todo = _LINK_OVER if error.reason == TOKEN_IS_OVER else _LINK_WRONG
    if isinstance(error, ProtocolError) and error.reason == UNKNOWN_PAGE:
        heading, todo = _PAGE_UNKNOWN
    if status >= 500 and not isinstance(error, OutcomeUnknownError | ProtocolError):
        # About the store; people can do nothing with that.
        what = "The promises cannot be reached."
    return rendered(
        "message",
        status,
        root=root,
        keeps_origin=not by_link,
        heading=heading,
        what=f"{what[:1].upper()}{what[1:]}{'' if what.endswith('.') else '.'}",
        todo=todo,
        asks_token=status == 401 and not by_link,
        next=next,
        board=not by_link and status != 401,
    )
