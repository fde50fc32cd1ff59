"""What comes behind the last chunk of a body is no header, whatever it is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from support.server.attackers import Victim, answer, victim

TOKEN: Final = "x" * 40
ORIGIN: Final = "http://localhost:PORT"
GOOD: Final = {
    "Host": "localhost:PORT",
    "Content-Type": "application/json",
    "Authorization": f"Bearer {TOKEN}",
    "Transfer-Encoding": "chunked",
}
"""The headers of a request that is answered with 200."""

BELIEVED: Final = {
    # What the head lacks, or has wrong, a trailer would make good.
    "a token": ("peek", {"Authorization": None}, GOOD["Authorization"], 401),
    "another token": ("peek", {"Authorization": "Bearer no"}, f"Bearer {TOKEN}", 401),
    "a type": ("peek", {"Content-Type": "text/plain"}, "application/json", 415),
    "a name": ("peek", {"Host": "evil.example"}, "localhost:PORT", 421),
    "an origin": ("peek", {"Origin": "https://evil.example"}, ORIGIN, 403),
    "a length": ("peek", {"Content-Length": None}, "0", 200),
    # What the head has right, a trailer would spoil.
    "a wrong token": ("peek", {}, ("Authorization", "Bearer no"), 200),
    "a wrong type": ("peek", {}, ("Content-Type", "text/plain"), 200),
    "a wrong name": ("peek", {}, ("Host", "evil.example"), 200),
    "a wrong origin": ("peek", {}, ("Origin", "https://evil.example"), 200),
    "a wrong length": ("peek", {}, ("Content-Length", "1000000"), 200),
    "no chunks": ("peek", {}, ("Transfer-Encoding", "identity"), 200),
    "a coding": ("peek", {}, ("Content-Encoding", "gzip"), 200),
    "another site": ("peek", {}, ("Sec-Fetch-Site", "cross-site"), 200),
    "a proxy's host": ("peek", {}, ("X-Forwarded-Host", "evil.example"), 200),
    "a proxy's scheme": ("peek", {}, ("X-Forwarded-Proto", "https"), 200),
    "a proxy's client": ("peek", {}, ("Forwarded", "for=10.0.0.1;host=evil"), 200),
    "an upgrade": ("peek", {}, ("Upgrade", "h2c"), 200),
    "an expectation": ("peek", {}, ("Expect", "100-continue"), 200),
    "a longer wait": ("await", {"Prefer": "wait=1"}, "wait=600", 202),
}
"""``{case: (operation, headers, trailer, status)}``; each has the header's name."""


@pytest.fixture(scope="module")
def server() -> Iterator[Victim]:
    """A server that asks for a token."""
    with victim(env={"DP_TOKEN": TOKEN}) as server:
        yield server


@pytest.mark.parametrize("spell", [str.lower, str.upper])
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("case", BELIEVED)
def test_a_trailer_is_not_a_header(
    server: Victim, case: str, announced: bool, spell: type[str]
) -> None:
    """It changes nothing in the answer, nor in that to the next request there."""
    operation, other, trailer, status = BELIEVED[case]
    name, value = (
        trailer if isinstance(trailer, tuple) else (next(iter(other)), trailer)
    )
    extra = {"Trailer": name} if announced else {}
    headers = {**GOOD, **other, **extra}
    line = f"{spell(name)}: {value}"
    with server.connect() as stream:
        stream.sendall(said(server, operation, headers, line))
        assert status == answer(stream)[0]
        if status < 400:
            stream.sendall(said(server, "peek", GOOD))
            assert (200, b"null") == answer(stream)


def said(
    server: Victim, operation: str, headers: dict[str, str | None], *trailers: str
) -> bytes:
    """Return a request in two chunks, with the port of the server in it."""
    lines = [f"POST /promise/{operation} HTTP/1.1"]
    lines += [
        f"{name}: {value}" for name, value in headers.items() if value is not None
    ]
    chunks = ["9", '{"promise', "8", 'Id":"x"}', "0"]
    text = "\r\n".join([*lines, "", *chunks, *trailers, "", ""])
    return text.replace("PORT", str(server.port)).encode()
