"""`Callback`: a URL at which another system is told of a promise that is settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, final

from dp_core._errors import InvalidTermsError
from dp_core._terms._callback_urls import parse_callback_url
from dp_core._text import shown

__all__ = ["MAX_CALLBACKS", "Callback", "ask_callbacks", "check_callbacks"]

MAX_CALLBACKS: Final = 10
"""The most callbacks of a promise."""


@final
@dataclass(frozen=True, slots=True)
class Callback:
    """
    A URL at which another system is told of a promise that is settled.

    Attributes:
        url: The URL, of ``http`` or ``https``.
        delivery: The id of the promise that keeps whether that was done; None in terms
            that are asked for. No part of the equality.

    Raises:
        InvalidTermsError: It is not a valid URL.
    """

    url: str
    delivery: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        parse_callback_url(self.url)


def ask_callbacks(urls: Iterable[str] | None) -> tuple[Callback, ...]:
    """
    Return the callbacks that are asked for by their URLs.

    Raises:
        InvalidTermsError: They are not valid URLs, or too many.
    """
    if urls is None:
        return ()
    if isinstance(urls, str | bytes) or not isinstance(urls, Iterable):
        raise InvalidTermsError(
            f"'notify' is a list of URLs, such as ['https://example.com/hook'], not "
            f"{shown(urls)}"
        )
    return check_callbacks(tuple(map(Callback, urls)))


def check_callbacks(callbacks: tuple[Callback, ...]) -> tuple[Callback, ...]:
    """
    Return callbacks in the order of their URLs, each of these once.

    Raises:
        InvalidTermsError: There are more than `MAX_CALLBACKS`.
    """
    if not all(isinstance(each, Callback) for each in callbacks):
        raise InvalidTermsError(
            "'notify' of terms has dp_core.Callback(url), one for each URL"
        )
    by_url = {each.url: each for each in callbacks}
    if len(by_url) > MAX_CALLBACKS:
        raise InvalidTermsError(
            f"{len(by_url):,} URLs to notify are over the limit of {MAX_CALLBACKS}"
        )
    return tuple(by_url[url] for url in sorted(by_url))
