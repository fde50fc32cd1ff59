"""Which URLs may be called, and at which addresses: what strangers try."""

from __future__ import annotations

import pytest

import dp_core as dp
from dp_core._terms import ask_callbacks, parse_callback_url
from dp_core.server._callbacks import AllowedHosts

PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
INSIDE = (
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "100.64.0.1",
    "172.31.0.1",
    "192.168.1.1",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d70e",
    "64:ff9b:1::5db8:d70e",
    "2002:7f00:1::1",
    "2001::1",
    "2001:db8::1",
)
NOWHERE = (
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:notaport/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com:80@127.0.0.1/",
        "http://example.com/#fragment",
        "http://example.com#@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com\\.evil/",
        "http://exam ple.com/",
        "http://example.com/\r\nX-Injected: 1",
        "http://example.com/\n",
        "\thttp://example.com/",
        "http://example.com/\x00",
        "http://exämple.com/",
        "http://例え.jp/",
        "http://example。com/",
        "http://①②⑦.0.0.1/",
        "http://example.com/ä",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1.5/",
        "http://0/",
        "http://256.0.0.1/",
        "http://example.0x/",
        "http://[::1",
        "http://::1/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://%31%32%37.0.0.1/",
        "http://example%2ecom/",
        "http://example..com/",
        "http://.example.com/",
        "http://-example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:99999999/",
        "http://example.com:+80/",
        f"http://{'a' * 64}.com/",
        f"http://{'a.' * 127}com/",
        f"http://example.com/{'a' * 2048}",
        "http://example.com/<script>",
        "http://example.com/{x}",
        "http://example.com/|",
    ],
)
def test_what_is_not_a_plain_url_is_refused(url: str) -> None:
    """No spelling is left to be understood one way here and another way elsewhere."""
    with pytest.raises(dp.InvalidTermsError, match="URL to notify"):
        ask_callbacks([url])


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("HTTP://EXAMPLE.com.:8080/A?b=c", "example.com", 8080, "/A?b=c"),
        ("http://example.com?x=1", "example.com", 80, "/?x=1"),
        ("https://xn--exmple-cua.com/a%20b", "xn--exmple-cua.com", 443, "/a%20b"),
        ("http://127.0.0.1:8080/", "127.0.0.1", 8080, "/"),
        ("http://[0:0:0::1]:1/", "::1", 1, "/"),
        ("http://my_service/x", "my_service", 80, "/x"),
        ("https://example.com/a[]=1&b=(2)", "example.com", 443, "/a[]=1&b=(2)"),
    ],
)
def test_a_url_has_one_meaning(url: str, host: str, port: int, target: str) -> None:
    """Its parts have one form each, and what is checked is what is called."""
    parsed = parse_callback_url(url)

    assert (host, port, target) == (parsed.host, parsed.port, parsed.target)


@pytest.mark.parametrize("urls", ["https://example.com", b"x", 5, [5], [None], {1: 2}])
def test_what_is_not_a_list_of_urls_is_refused(urls: object) -> None:
    """A string alone would be a list of its letters."""
    with pytest.raises(dp.InvalidTermsError, match="notify"):
        ask_callbacks(urls)  # type: ignore[arg-type]


def test_callbacks_are_few_and_each_is_there_once() -> None:
    """What is asked for twice is done once; more than ten are refused."""
    urls = [f"https://example.com/{n}" for n in range(10)]

    assert urls == [each.url for each in ask_callbacks([*reversed(urls), urls[0]])]
    with pytest.raises(dp.InvalidTermsError, match="11 URLs"):
        ask_callbacks([*urls, "https://example.com/10"])


def allows(hosts: AllowedHosts, url: str, *addresses: str) -> bool:
    """Tell whether a URL may be called at all of these addresses."""
    parsed = parse_callback_url(url)
    try:
        hosts.check(parsed)
    except dp.InvalidTermsError:
        return False
    return all(hosts.is_allowed(parsed, each) for each in addresses)


@pytest.mark.parametrize("address", [*INSIDE, *NOWHERE])
@pytest.mark.parametrize("pattern", ["*", "*.example.com", "*:80"])
def test_patterns_are_for_public_addresses(pattern: str, address: str) -> None:
    """A name that matches one, and leads inside, is not called."""
    hosts = AllowedHosts([pattern])

    assert allows(hosts, "http://hooks.example.com/", *PUBLIC)
    assert not allows(hosts, "http://hooks.example.com/", address)


@pytest.mark.parametrize("address", NOWHERE)
def test_no_name_leads_to_metadata(address: str) -> None:
    """Who may be in a private network may not be the cloud's own service there."""
    assert not allows(
        AllowedHosts(["hooks.example.com"]), "http://hooks.example.com/", address
    )


@pytest.mark.parametrize("address", [*PUBLIC, *INSIDE])
def test_a_named_host_may_be_inside(address: str) -> None:
    """The operator names it, wherever it is."""
    assert allows(AllowedHosts(["hooks.internal"]), "http://hooks.internal/", address)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254"])
def test_a_named_address_is_meant(address: str) -> None:
    """Whoever writes an address has looked at it."""
    assert allows(AllowedHosts([address]), f"http://{address}/", address)
    assert not allows(AllowedHosts(["*"]), f"http://{address}/", address)


@pytest.mark.parametrize(
    ("allowed", "url", "expected"),
    [
        ([], "https://example.com/", False),
        (["example.com"], "https://example.com/", True),
        (["EXAMPLE.com."], "https://example.COM./", True),
        (["example.com"], "https://example.com.evil.org/", False),
        (["example.com"], "https://sub.example.com/", False),
        (["*.example.com"], "https://a.b.example.com/", True),
        (["*.example.com"], "https://example.com/", False),
        (["*.example.com"], "https://evilexample.com/", False),
        (["example.com:8443"], "https://example.com:8443/", True),
        (["example.com:8443"], "https://example.com/", False),
        (["*.example.com:443"], "http://a.example.com/", False),
        (["*:443"], "https://anything.org/", True),
        (["*:443"], "http://anything.org/", False),
        (["::1"], "http://[::1]:8080/", True),
        (["[::1]:8080"], "http://[::1]:8080/", True),
        (["[::1]:8080"], "http://[::1]/", False),
        (["127.0.0.1"], "http://localhost/", False),
        (["localhost"], "http://127.0.0.1/", False),
        (["127.0.0.1"], "http://[::ffff:127.0.0.1]/", False),
        (["*"], "http://127.0.0.1/", False),
        (["*"], "http://[::]/", False),
        (["*"], "http://8.8.8.8/", True),
    ],
)
def test_the_operator_names_hosts(allowed: list[str], url: str, expected: bool) -> None:
    """Without any none is called; a port that is named is the only one."""
    assert expected == allows(AllowedHosts(allowed), url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://example.com",
        "a b",
        "*.",
        "*x",
        "**",
        "a*",
        "127.1",
        "a/b",
        "u@h",
        ":80",
    ],
)
def test_what_is_not_a_host_is_refused(text: str) -> None:
    """A misspelt option is told at the start, and allows nothing."""
    with pytest.raises(dp.AccessDeniedError, match="not a valid host"):
        AllowedHosts([text])
