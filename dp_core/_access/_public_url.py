"""
`PublicUrl`: where people and programs see a server that is behind a proxy.

The proxy has ended the TLS, and may have taken a prefix from the path, so the server
cannot know. It is told once, by who runs it: what requests say about themselves
(``Forwarded``, ``X-Forwarded-Proto``), anybody can write who reaches the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final
from urllib.parse import unquote, urlsplit

from dp_core._access._links import link_base
from dp_core._errors import InvalidLinkError
from dp_core._text import quoted

__all__ = ["PublicUrl", "read_public_url"]

_DEFAULT_PORT: Final = {"http": 80, "https": 443}
_NO_NAMES: Final = frozenset({"", ".", ".."})


@final
@dataclass(frozen=True, slots=True)
class PublicUrl:
    """
    The parts of a server's public URL.

    Attributes:
        scheme: ``http`` or ``https``.
        name: Its name, without a port, as some proxies have it in ``Host``.
        host: Its name, with the port unless that is the scheme's.
        root: The path below which it is, decoded, as ``root_path`` of ASGI; empty for
            none.
    """

    scheme: str
    name: str
    host: str
    root: str

    @property
    def is_over_tls(self) -> bool:
        """Whether it is seen over TLS."""
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """The origin of its pages, as browsers write it."""
        return f"{self.scheme}://{self.host}"


def read_public_url(url: str) -> PublicUrl:
    """
    Return the parts of a URL such as ``https://promises.example.com/dp``.

    Raises:
        InvalidLinkError: It is not one, or browsers would read it in another way.
    """
    parts = urlsplit(link_base(url, ""))
    host = parts.netloc.lower()
    # An IPv6 address has colons of its own, in brackets.
    name = host.removesuffix(f":{parts.port}").removesuffix(":")
    is_usual = parts.port in (None, _DEFAULT_PORT[parts.scheme])
    root = unquote(parts.path)
    if not host.isascii():
        raise InvalidLinkError(
            f"{quoted(url)} has a name that browsers send in another form; write that, "
            "which begins with xn--"
        )
    if root and not _NO_NAMES.isdisjoint(root.split("/")[1:]):
        raise InvalidLinkError(
            f"{quoted(url)} has a path that browsers shorten; write one such as "
            "https://example.com/dp"
        )
    return PublicUrl(
        parts.scheme, name, name if is_usual else f"{name}:{parts.port}", root
    )
