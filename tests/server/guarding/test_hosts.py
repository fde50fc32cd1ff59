"""Names of a server: one host in all forms of its address, and no other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dp_core._errors import AccessDeniedError
from dp_core.server._guarding import Hosts
from dp_core.server._listening import _listener
from support.server_process import JSON, TIMEOUT, Server, read, running

KNOWN = [
    ("192.0.2.1:8080", ("::ffff:192.0.2.1", 8080)),
    ("192.0.2.1:8080", ("::ffff:c000:201", 8080)),
    ("[::ffff:192.0.2.1]:8080", ("192.0.2.1", 8080)),
    ("[::ffff:192.0.2.1]:8080", ("::ffff:192.0.2.1", 8080)),
    ("[fe80::1]:8080", ("fe80::1%eth0", 8080)),
    ("[fe80::1%25eth0]:8080", ("fe80::1", 8080)),
    ("[fe80::1%eth0]:8080", ("fe80::1%2", 8080)),
    ("[2001:db8:0:0::5]", ("2001:db8::5", 80)),
    ("[0:0:0:0:0:0:0:1]:8080", ("::1", 8080)),
    ("[::ffff:127.0.0.1]:8080", ("127.0.0.1", 8080)),
    ("127.0.0.1:8080", ("::ffff:127.0.0.1", 8080)),
    ("localhost:8080", ("::1", 8080)),
    ("127.0.0.7:8080", ("127.0.0.7", 8080)),
    ("192.0.2.7:8080", ("0.0.0.0", 8080)),  # noqa: S104 - which one is not said
    ("192.0.2.7:8080", ("::", 8080)),
    ("[2001:db8::5]:8080", ("::", 8080)),
]
UNKNOWN = [
    ("192.0.2.2:8080", ("::ffff:192.0.2.1", 8080)),
    ("192.0.2.1:81", ("::ffff:192.0.2.1", 8080)),
    ("[fe80::2]:8080", ("fe80::1%eth0", 8080)),
    ("[::]:8080", ("::1", 8080)),
    ("evil.test:8080", ("0.0.0.0", 8080)),  # noqa: S104 - an address that is tried
    ("evil.test:8080", ("::", 8080)),
    ("192.0.2.7:81", ("::", 8080)),
    ("", ("", None)),
    ("[]", ("", None)),
    (":8080", ("", 8080)),
    ("a b", ("127.0.0.1", 80)),
    ("[::1", ("::1", 80)),
    ("::1", ("::1", 80)),
    ("[::1]evil.test", ("::1", 80)),
    ("127.0.0.1:80@evil.test", ("127.0.0.1", 80)),
    ("127.1", ("127.0.0.1", 80)),
    ("2130706433", ("127.0.0.1", 80)),
    ("0x7f.0.0.1", ("127.0.0.1", 80)),
    ("127.0.0.1:٨٠", ("127.0.0.1", 80)),
]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "*",
        "*.example.test",
        "http://promises.test",
        "promises.test/dp",
        "promises.test:http",
        "promises.test, other.test",
        "user@promises.test",
        "prömises.test",
        "a b",
        ":8080",
        "[::1",
        "promises.test\n",
        "promises.test:8080:80",
        "[promises.test]",
        "promises.test:0",
        "promises.test:65536",
    ],
)
def test_what_is_no_name_is_not_allowed(name: str) -> None:
    """It would name no host, and let in all requests whose ``Host`` is none."""
    with pytest.raises(AccessDeniedError, match="not a valid name of a server"):
        Hosts([name])


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Promises.test", "promises.test:81"),
        ("promises.test:81", "promises.test:81"),
        ("promises.test:081", "promises.test:81"),
        ("fd00:0::5", "[fd00::5]:81"),
        ("[fd00::5]:81", "[fd00:0::5]:81"),
        ("my_service", "my_service:81"),
        ("fe80::1%eth0", "[fe80::1]:81"),
    ],
)
def test_a_name_is_allowed_in_any_of_its_forms(name: str, host: str) -> None:
    """Also an address without brackets; and none of another form with it."""
    hosts = Hosts([name])

    assert hosts.know(host, "http", ("127.0.0.1", 8080))
    for other in ("evil.test:81", "evil:x", "", "http://evil.test"):
        assert not hosts.know(other, "http", ("127.0.0.1", 8080))


def test_a_server_knows_a_name_of_other_letters_as_it_is_sent() -> None:
    """By the name in ASCII, as which it was resolved (RFC 5891)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = _listener.authority("mühle.test", listener)
    port = at.rpartition(":")[2]

    assert f"xn--mhle-0ra.test:{port}" == at
    assert Hosts([at]).know(at, "http", ("192.0.2.1", int(port)))


def test_a_name_that_is_known_makes_no_other_one_known() -> None:
    """What was asked for before is found again, and only in the same place."""
    hosts = Hosts([])
    server = ["127.0.0.1", 80]
    for _ in range(2):
        assert hosts.know("localhost:80", "http", server)
        assert not hosts.know("localhost:80", "http", ["127.0.0.1", 81])
        assert not hosts.know("localhost", "https", server)
        assert not hosts.know("evil.test:80", "http", server)
    for port in range(1, 1000):
        assert hosts.know(f"localhost:{port}", "http", ["127.0.0.1", port])


@pytest.mark.parametrize(("host", "server"), KNOWN)
def test_an_address_has_many_forms(host: str, server: Any) -> None:
    """Mapped, scoped, and with or without zeros: the same host."""
    assert Hosts([]).know(host, "http", server)


@pytest.mark.parametrize(("host", "server"), UNKNOWN)
def test_another_host_is_not_ours(host: str, server: Any) -> None:
    """Another address, another port, and what is not a host at all."""
    assert not Hosts([]).know(host, "http", server)


@pytest.mark.parametrize(
    "allowed",
    ["192.0.2.9", "[::ffff:192.0.2.9]:8080", "::ffff:192.0.2.9", "192.0.2.9:8080"],
)
def test_an_allowed_address_has_many_forms(allowed: str) -> None:
    """An owner may write it in any form, too, if it is one."""
    hosts = Hosts([allowed])
    known = [
        hosts.know(host, "http", ("10.0.0.1", 8080))
        for host in ("192.0.2.9:8080", "[::ffff:192.0.2.9]:8080")
    ]

    assert [True, True] == known or "::ffff:192.0.2.9" == allowed


def test_a_server_at_all_addresses_knows_those_of_ipv4() -> None:
    """``--host ::`` answers clients of both families, by each address of its own."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 that takes IPv4, too")
    token = "t" * 40
    with running("memory:", "::", token=token) as server:
        statuses = {}
        for host in ("127.0.0.1", "::1", "127.0.0.9"):
            connection = server.connect()
            connection.sock = socket.create_connection((host, server.port), TIMEOUT)
            shown = f"[{host}]" if ":" in host else host
            headers = {
                **JSON,
                "Authorization": f"Bearer {token}",
                "Host": f"{shown}:{server.port}",
            }
            connection.request("POST", "/promises/x/peek", b"", headers)
            statuses[host] = read(connection).status
            connection.close()

    assert {"127.0.0.1": 200, "::1": 200, "127.0.0.9": 200} == statuses


TOKEN = "t" * 40
REBOUND = [
    ("evil.test", "http://evil.test:PORT", 421),
    ("127.0.0.9.nip.test", "http://127.0.0.9.nip.test:PORT", 421),
    ("127.0.0.9.", "http://127.0.0.9.:PORT", 421),
    ("localhost.", "http://localhost.:PORT", 421),
    # What a browser says of a page whose address is another, be it one of ours.
    ("127.0.0.9", "http://198.51.100.7:PORT", 403),
    ("127.0.0.9", "http://127.0.0.8:PORT", 403),
    ("127.0.0.9", "http://127.0.0.9:81", 403),
    ("127.0.0.9", "http://evil.test:PORT", 403),
    ("127.0.0.9", "https://127.0.0.9:PORT", 403),
    ("127.0.0.9", "null", 403),
    ("127.0.0.9", "http://127.0.0.9:PORT", 200),
]


@pytest.fixture(scope="module")
def everywhere() -> Iterator[Server]:
    """A server at all addresses of IPv4."""
    with running("memory:", "0.0.0.0", token=TOKEN) as server:  # noqa: S104 - an address that is tried
        yield server


@pytest.mark.parametrize(("host", "origin", "status"), REBOUND)
def test_at_all_addresses_no_name_can_be_rebound(
    everywhere: Server, host: str, origin: str, status: int
) -> None:
    """
    Any literal address is known there, and no page of another address or name.

    Also where the page knows the token.
    """
    port = str(everywhere.port)
    connection = everywhere.connect()
    headers = {
        **JSON,
        "Authorization": f"Bearer {TOKEN}",
        "Host": f"{host}:{port}",
        "Origin": origin.replace("PORT", port),
    }
    connection.request("POST", "/promises/x/peek", b"", headers)
    answer = read(connection)
    connection.close()

    assert status == answer.status
