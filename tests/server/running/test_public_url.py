"""A server that is told where it is seen, behind a proxy that ends TLS."""

from __future__ import annotations

from typing import Final

import pytest

from dp_core._access import read_public_url
from dp_core._errors import InvalidLinkError
from dp_core.server import Settings
from support.server.asgi_driver import Request
from support.server.people import MASTER, SECRET, look, send, served

PUBLIC: Final = "https://promises.test/dp"
OWN: Final = (b"origin", b"https://promises.test")
HOSTS: Final = {"public": b"promises.test", "inner": b"localhost"}


async def answered(
    url: str | None,
    *more: tuple[bytes, bytes],
    host: bytes = HOSTS["inner"],
    path: str = "/promises/x/resolve",
) -> int | None:
    """Return the status of a settle."""
    request = Request(path, b"1", headers=more)
    request._scope["headers"][0] = (b"host", host)
    await request.run(served(public_url=url, token=None, secrets=()))
    return request.status


@pytest.mark.parametrize("host", HOSTS.values())
@pytest.mark.parametrize("path", ["/promises/x/resolve", "/dp/promises/x/resolve"])
async def test_it_is_known_by_its_public_url(host: bytes, path: str) -> None:
    """Whichever ``Host`` a proxy passes on, and whether it takes the prefix away."""
    assert 200 == await answered(PUBLIC, OWN, host=host, path=path)


@pytest.mark.parametrize(
    "origin",
    [
        b"http://promises.test",
        b"https://promises.test:444",
        b"https://evil.test",
        b"null",
    ],
)
async def test_pages_of_other_origins_stay_refused(origin: bytes) -> None:
    """The scheme and the port count."""
    assert 403 == await answered(PUBLIC, (b"origin", origin))


async def test_what_a_request_says_of_a_proxy_counts_for_nothing() -> None:
    """Anybody can write it, and without the setting the origin is a foreign one."""
    said = [
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"promises.test"),
        (b"forwarded", b"proto=https;host=promises.test"),
    ]
    assert 403 == await answered(None, OWN, *said)
    assert 421 == await answered(None, *said, host=HOSTS["public"])


@pytest.mark.parametrize("below", ["", "/dp"])
async def test_a_token_is_kept_for_where_the_server_is_seen(below: str) -> None:
    """The cookie is for TLS and for the prefix, and the next page is found below it."""
    pages = served(public_url=PUBLIC)
    for said in (OWN, (b"sec-fetch-site", b"same-origin")):
        answer = await send(pages, f"{below}/board/token", {"token": MASTER}, [said])
        kept = {*answer.headers["set-cookie"].split("; ")}

        assert 303 == answer.status
        assert {f"dp-token={MASTER}", "Path=/dp", "Secure"} <= kept
        assert "../" == answer.headers["location"]


async def test_who_asks_without_the_proxy_has_no_tls() -> None:
    """A browser on the server's own machine would not keep a cookie of TLS."""
    answer = await send(served(public_url=PUBLIC), "/board/token", {"token": MASTER})

    assert 303 == answer.status
    assert "Secure" not in answer.headers["set-cookie"]


async def test_the_description_names_the_prefix() -> None:
    """Programs that are made from it find the server."""
    pages = served(public_url="https://promises.test/a b", token=None, secrets=())
    answer = await look(pages, "/openapi.json")

    assert [{"url": "/a%20b"}] == answer.json()["servers"]


@pytest.mark.parametrize(
    ("url", "origin", "name"),
    [
        ("https://Promises.test:443/", "https://promises.test", "promises.test"),
        ("http://promises.test:443", "http://promises.test:443", "promises.test"),
        ("https://[::1]:8443/dp/", "https://[::1]:8443", "[::1]"),
        ("https://[::1]", "https://[::1]", "[::1]"),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str, name: str) -> None:
    """In small letters, without the port that the scheme has."""
    found = read_public_url(url)

    assert (origin, name) == (found.origin, found.name)


@pytest.mark.parametrize(
    "url",
    [
        "promises.test",
        "ftp://promises.test",
        "https://promises.test/?a=1",
        "https://user@promises.test",
        "https://prömises.test",
        "https://promises.test//evil.test",
        "https://promises.test/a/../b",
        "https://promises.test/%2e%2e",
    ],
)
def test_what_is_no_public_url_is_refused(url: str) -> None:
    """Before the server starts."""
    with pytest.raises(InvalidLinkError):
        Settings(public_url=url)


@pytest.mark.parametrize("first", ["p", "promises", "board"])
def test_a_prefix_that_is_a_path_of_ours_is_refused(first: str) -> None:
    """A proxy may take it away or not, which could not be told apart."""
    with pytest.raises(InvalidLinkError, match=f"begin with /{first}; .*/dp"):
        served(public_url=f"https://promises.test/{first}", secrets=(SECRET,))
