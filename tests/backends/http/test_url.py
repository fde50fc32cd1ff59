"""Store URLs of servers: what they say, and which are refused."""

from __future__ import annotations

import pytest

from dp_backends.http._url import ServerUrl, parse_url
from dp_core import (
    UnknownBackendError,
    connect,
)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://localhost:8080", ServerUrl("http", "localhost", 8080)),
        ("HTTP://LocalHost", ServerUrl("http", "localhost", 80)),
        ("https://example.org/", ServerUrl("https", "example.org", 443)),
        ("http://h:1/a/b/", ServerUrl("http", "h", 1, "/a/b")),
        ("http://h:1/ä b%2F", ServerUrl("http", "h", 1, "/%C3%A4%20b%2F")),
        ("http://[::1]:8080", ServerUrl("http", "::1", 8080)),
        ("http://bücher.example", ServerUrl("http", "xn--bcher-kva.example", 80)),
        ("http://h?retry=2.5", ServerUrl("http", "h", 80, retry=2.5)),
    ],
)
def test_a_url_names_host_port_prefix_and_retry(url: str, server: ServerUrl) -> None:
    """Each part of a store URL arrives where it belongs, with its default."""
    assert server == parse_url(url)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://h", "h"),
        ("http://h:443", "h:443"),
        ("https://h:443", "h"),
        ("http://[::1]", "[::1]"),
        ("http://[fe80::1%eth0]:81", "[fe80::1]:81"),
    ],
)
def test_the_host_header_is_the_authority(url: str, authority: str) -> None:
    """Without the usual port, with brackets, without this machine's zone."""
    assert authority == parse_url(url).authority


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http:", "http://HOST:PORT"),
        ("http:localhost", "http://HOST:PORT"),
        ("http://:8080", "http://HOST:PORT"),
        ("http://h:x", "not a valid URL"),
        ("http://h:70000", "not a valid URL"),
        ("http://h:0", "not a valid port"),
        ("http://[::1", "not a valid URL"),
        ("http://a..b", "not a valid URL"),
        ("http://a b", "not a valid host name"),
        ("http://user:secret@h", "DP_TOKEN"),
        ("http://user:secret@h:x", "not a valid URL"),
        ("http://h/#x", "%23"),
        ("http://h?retries=1", "retry=SECONDS"),
        ("http://h?retry=", "seconds above 0"),
        ("http://h?retry=0", "seconds above 0"),
        ("http://h?retry=inf", "seconds above 0"),
        ("http://h?retry=1_0", "seconds above 0, such as 30 or 0.5"),
        ("http://h?retry=%D9%A1%D9%A0", "seconds above 0"),
        ("http://h?retry=%2010", "seconds above 0"),
        ("http://h:8_0", "not a valid URL"),
    ],
)
def test_a_url_that_names_no_server_is_refused(url: str, advice: str) -> None:
    """A URL that makes no sense is an error at once, which shows no password."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(url)

    assert advice in str(caught.value)
    assert "secret" not in str(caught.value)
