"""The cookie with a token: its name, and who can set it."""

from __future__ import annotations

from typing import Final

from starlette.routing import Mount

from dp_core.server import App
from support.server.people import MASTER, look, send, served

HTML: Final = (b"accept", b"text/html")


def cookie(token: str = MASTER) -> tuple[bytes, bytes]:
    """Return the header by which a browser sends its token."""
    return b"cookie", f"other=1; dp-token={token}".encode()


async def test_a_cookie_of_tls_stays_there(pages: App) -> None:
    """Also behind a proxy that has ended the TLS."""
    headers = [(b"origin", b"https://localhost"), (b"sec-fetch-site", b"same-origin")]
    answer = await send(pages, "/board/token", {"token": MASTER}, headers)
    kept, gone = answer.headers["set-cookie"].splitlines()

    assert f"__Host-dp-token={MASTER}" == kept.partition(";")[0]
    assert {" Path=/", " Secure", " HttpOnly", " SameSite=Strict"} == {
        *kept.split(";")[1:]
    }
    # Another one, that was kept without TLS, would stay.
    assert gone.startswith("dp-token=; ")
    assert "Max-Age=0" in gone
    left = await send(pages, "/board/leave", {"leave": "yes"}, [*headers, cookie()])
    assert 2 == left.headers["set-cookie"].count("Max-Age=0")


async def test_no_neighbour_replaces_a_cookie_of_tls(pages: App) -> None:
    """Another host of the site can set a cookie here, but not one of that name."""
    mine = f"__Host-dp-token={MASTER}"
    for text in (f"dp-token=theirs; {mine}", f"{mine}; dp-token=theirs"):
        page = await look(pages, "/", headers=[HTML, (b"cookie", text.encode())])
        assert 200 == page.status


async def test_a_cookie_below_a_path_has_no_such_name() -> None:
    """A browser would refuse it: that name is for the whole host."""
    headers = [(b"origin", b"https://localhost"), (b"sec-fetch-site", b"same-origin")]
    pages = Mount("/dp", served())
    answer = await send(pages, "/dp/board/token", {"token": MASTER}, headers)

    assert answer.headers["set-cookie"].startswith(f"dp-token={MASTER}; Path=/dp;")
    assert 1 == len(answer.headers["set-cookie"].splitlines())
