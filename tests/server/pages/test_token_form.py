"""The form for a token: which pages ask for one, and where it leads."""

from __future__ import annotations

import re
from typing import Final

import pytest

from dp_core.server import App
from support.server.people import MASTER, look, send, text_of

HTML: Final = (b"accept", b"text/html")


@pytest.mark.parametrize("path", ["/", "/board/new", "/board/changes"])
@pytest.mark.parametrize("name", ["token", "%74oken"])
async def test_a_token_in_an_address_does_not_count(
    pages: App, path: str, name: str
) -> None:
    """But for that of a promise's page; others say how to give it, and drop it."""
    page = await look(pages, f"{path}?id=x&{name}={MASTER}", headers=[HTML])

    assert 401 == page.status
    assert "A token in this address does not count" in text_of(page)
    assert b'type="password"' in page.body
    assert MASTER.encode() not in page.body
    if path != "/board/changes":
        where = path.removeprefix("/")
        assert f'name="next" value="{where}?id=x"'.encode() in page.body


@pytest.mark.parametrize("page", ["/board/new?id=x", "/p/x", "/?state=pending"])
async def test_a_token_leads_back_to_its_page(pages: App, page: str) -> None:
    """Whichever page has asked for it is the one that is shown next."""
    asked = await look(pages, page, headers=[HTML])
    [next] = re.findall(rb'name="next" value="([^"]*)"', asked.body)
    form = {"token": MASTER, "next": next.decode()}
    answer = await send(pages, "/board/token", form)

    assert f"..{page}" == answer.headers["location"]
