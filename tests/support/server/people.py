"""People who ask an app for pages, and send its forms; links for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

from starlette.types import ASGIApp

from dp_core import connect
from dp_core._access import EVERYTHING, Access, write_access, write_link
from dp_core.server import App, Settings, app
from support.server.asgi_driver import Request

__all__ = ["LATER", "SECRET", "link", "look", "send", "served", "text_of", "token_of"]

SECRET: Final = "s" * 32
LATER: Final = datetime(2999, 1, 1, tzinfo=UTC)
OWN: Final = (b"origin", b"http://localhost")
FORM: Final = b"application/x-www-form-urlencoded"
MASTER: Final = "m" * 40


def served(**settings: Any) -> App:
    """Return an app with a secret, over a store of its own."""
    asked = {"secrets": (SECRET,), "token": MASTER} | settings
    return app(connect(f"memory:{uuid4()}").backend, Settings(**asked))


def link(id: str, by: str | None = None, secret: str = SECRET) -> str:
    """Return path and query of a link."""
    return write_link(id, LATER, secret, "", by)


def token_of(*rights: str, ids: tuple[str, ...] | None = None) -> str:
    """Return a token with some rights; with all, without arguments."""
    access = Access(frozenset(rights), ids) if rights else EVERYTHING
    return write_access(access, LATER, [SECRET])


async def look(app: ASGIApp, url: str, method: str = "GET", **more: Any) -> Request:
    """Ask for a page."""
    parts = urlsplit(url)
    request = Request(parts.path, method=method, query=parts.query, **more)
    await request.run(app)
    return request


async def send(
    app: ASGIApp,
    url: str,
    fields: Mapping[str, str] | Iterable[tuple[str, str]] | bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
    media_type: bytes = FORM,
    *,
    names_page: bool = True,
) -> Request:
    """
    Send a form of the page at a URL, as a browser does: with the link's token.

    It says that it is from a page of the server's, unless the headers say where it is
    from, or it is not to name a page.
    """
    parts = urlsplit(url)
    body = fields
    if not isinstance(body, bytes):
        pairs = list(fields.items() if isinstance(fields, Mapping) else fields)
        tokens = parse_qs(parts.query).get("token", [])
        body = urlencode([("token", token) for token in tokens] + pairs).encode()
    own = [(b"content-type", media_type), *headers]
    if names_page and not {b"origin", b"sec-fetch-site"} & {name for name, _ in own}:
        own.append(OWN)
    request = Request(parts.path, body, headers=own)
    await request.run(app)
    return request


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(page: Request) -> str:
    """Return the words of a page, as a reader sees them."""
    reader = _Reader()
    reader.feed(page.body.decode())
    return " ".join(" ".join(reader.texts).split())
