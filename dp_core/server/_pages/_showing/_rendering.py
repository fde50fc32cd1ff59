"""
`rendered` writes a response for people; `asset_response` is what it loads.

Everything that a template is given is escaped, whatever it is. Pages load one style
sheet, one script and one icon, all of this package: a page of a promise works without
the script, and no page has a script or a style in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, final

from jinja2 import Environment, PackageLoader, StrictUndefined

from dp_core._text import for_terminal, visible
from dp_core.server._pages._showing._moments import moment_in_words
from dp_core.server._routing import HEADERS_OF_STATUS, Header, Response
from dp_core.wire import write_moment

__all__ = ["ASSETS", "asset", "asset_response", "rendered"]

ASSETS: Final[Mapping[str, bytes]] = {
    "pages.css": b"text/css; charset=utf-8",
    "board.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}
"""``{name: media type}`` of what pages load."""

_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_CSP_OF_SCRIPT: Final = f"{_CSP}; script-src 'self'; connect-src 'self'"
_SCRIPTED: Final = ("board",)
"""The templates that load the script."""

_HEADERS: Final[tuple[Header, ...]] = (
    # For browsers that do not know frame-ancestors.
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-robots-tag", b"noindex, nofollow"),
)


@final
@dataclass(frozen=True, slots=True)
class Asset:
    """
    A file that pages load.

    Attributes:
        body: What is in it.
        version: Changes with it.
    """

    body: bytes
    version: str


@cache
def asset(name: str) -> Asset:
    """Return one of `ASSETS`."""
    body = files(__package__).joinpath("static", name).read_bytes()
    return Asset(body, sha256(body).hexdigest()[:12])


def asset_response(name: str) -> Response:
    """Return the response that is one of `ASSETS`."""
    headers = (
        # Its URL has its version.
        (b"cache-control", b"public, max-age=31536000, immutable"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )
    return Response(200, asset(name).body, headers, ASSETS[name])


def rendered(
    template: str,
    status: int,
    *,
    root: str,
    keeps_origin: bool = False,
    **context: Any,
) -> Response:
    """
    Return a page.

    Args:
        template: The name of its template, without ``.html``.
        status: The status of the response.
        root: The way from its URL to where the app is, such as ``../``.
        keeps_origin: Whether requests from it to this server name it. Without that a
            browser tells nobody where the reader was, which may have a token in it.
        context: What the template shows.
    """
    context |= {"root": root, "asset": lambda name: f"{name}?v={asset(name).version}"}
    body = _environment().get_template(f"{template}.html").render(context)
    policy = b"same-origin" if keeps_origin else b"no-referrer"
    csp = _CSP_OF_SCRIPT if template in _SCRIPTED else _CSP
    return Response(
        status,
        body.encode(),
        (
            *_HEADERS,
            (b"content-security-policy", csp.encode()),
            (b"referrer-policy", policy),
            *HEADERS_OF_STATUS.get(status, ()),
        ),
        b"text/html; charset=utf-8",
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "line": visible,
        "lines": for_terminal,
        "moment": moment_in_words,
        "rfc3339": write_moment,
    }
    return environment
