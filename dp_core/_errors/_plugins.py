"""Errors of finding a backend by its URL."""

from __future__ import annotations

import re
from typing import Final

from dp_core._errors._base import DurablePromiseError
from dp_core._text import quoted, without_password

__all__ = ["DuplicateBackendError", "UnknownBackendError"]

_BEFORE_NAME: Final = re.compile(r"^[^/?#]*@")


class UnknownBackendError(DurablePromiseError, LookupError):
    """
    No backend is registered for a store URL.

    Attributes:
        url: The store URL.
        reason: Which URLs are known instead, and what to install.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        # A server without its scheme may have a user and a password before its name.
        shown = quoted(_BEFORE_NAME.sub("…@", without_password(self.url)))
        return f"no backend for store URL {shown}: {self.reason}"


class DuplicateBackendError(DurablePromiseError):
    """
    Two plugins claim the same URL scheme.

    Attributes:
        scheme: The URL scheme both claim.
        plugins: The plugins, as their packages name them.
    """

    def __init__(self, scheme: str, plugins: tuple[str, ...]) -> None:
        super().__init__(scheme, plugins)
        self.scheme = scheme
        self.plugins = plugins

    def __str__(self) -> str:
        return (
            f"the URL scheme {self.scheme!r} is claimed by "
            f"{' and by '.join(self.plugins)}; uninstall one of them"
        )
