"""Store URLs of PostgreSQL: what they name, and what is wrong with others."""

from __future__ import annotations

import traceback

import pytest

from dp_backends.sql.postgresql._url import parse_url
from dp_core import DurablePromiseError, UnknownBackendError, connect


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("postgresql://u@h:1/d", "postgresql://u@h:1/d?schema=durable_promises"),
        ("postgres://u:p@h:1/d?schema=s", "postgresql://u@h:1/d?schema=s"),
        ("postgresql://u@h/d?port=2&schema=s", "postgresql://u@h:2/d?schema=s"),
        ("postgresql://u@h:1/d?sslmode=require", "postgresql://u@h:1/d?schema="),
        ("postgresql://u@[::1]:1/d?schema=s", "postgresql://u@[::1]:1/d?schema=s"),
        ("postgresql://u@%2Ftmp:1/d?schema=s", "postgresql://u@%2Ftmp:1/d?schema=s"),
        ("postgresql://u@a:1,b:2/d?schema=s", "postgresql://u@a:1,b:2/d?schema=s"),
        ("postgresql://u@/d?host=a,b&port=7&schema=s", "u@a:7,b:7/d?schema=s"),
        ("postgresql://a%40b@h:1/%25?schema=s", "postgresql://a%40b@h:1/%25?schema=s"),
        ("postgresql://u@h:1?schema=%C3%A4", "postgresql://u@h:1/u?schema=%C3%A4"),
        ("postgresql://u@h:1/d?retry=3&schema=s", "postgresql://u@h:1/d?schema=s"),
        ("postgresql://:1/d?schema=s&service=x&user=u&host=h", "service=x&schema=s"),
    ],
)
def test_the_normal_form(url: str, location: str) -> None:
    """It says user, host, port, database and schema, and no password."""
    assert location in parse_url(url).location


def test_what_is_left_out_is_as_for_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says what the URL does not."""
    monkeypatch.setenv("PGUSER", "me")
    monkeypatch.setenv("PGHOST", "there")
    monkeypatch.setenv("PGPORT", "7")

    url = parse_url("postgresql:///d?schema=s")

    assert "postgresql://me@there:7/d?schema=s" == url.location


def test_our_options_are_not_for_libpq() -> None:
    """They are taken out, and their values decoded."""
    url = parse_url("postgresql://h/d?retry=2.5&sslmode=require&schema=a%20b")

    assert ("a b", 2.5) == (url.schema, url.retry)
    assert "require" == url.parameters["sslmode"]
    assert not {"schema", "retry"} & url.parameters.keys()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql:", "write postgresql://USER@HOST/DATABASE"),
        ("postgresql:db", "write postgresql://USER@HOST/DATABASE"),
        ("postgresql://u:50%@h/d", "percent-encoded"),
        ("postgresql://u@[::1/d", "write postgresql://USER@HOST/DATABASE"),
        ("postgresql://u@h/d?foo=1", "'foo' is not a valid option"),
        ("postgresql://u@h/d#f", "write # as %23"),
        ("postgresql://u@h/d?schema=a&schema=b", "schema= is given twice"),
        ("postgresql://u@h/d?schema=", "1 to 63 bytes"),
        (f"postgresql://u@h/d?schema={'a' * 64}", "1 to 63 bytes"),
        ("postgresql://u@h/d?schema=a%00", "NUL"),
        ("postgresql://u@h/d?schema=\ud800", "1 to 63 bytes of UTF-8"),
        ("postgresql://u@h/d?schema=pg_temp", "the server's own"),
        ("postgresql://u@h/d?retry=0", "not a number of seconds above 0"),
        ("postgresql://u@h/d?retry=nan", "not a number of seconds above 0"),
        ("postgresql://u@h/d?retry=soon", "not a number of seconds above 0"),
        ("postgresql://u@h/d?retry=1_0", "not a number of seconds above 0"),
    ],
)
def test_a_url_that_is_not_valid(url: str, reason: str) -> None:
    """The error says what to write."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(url)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:correct%20horse@h/d?foo=1",
        "postgresql://u:correct horse%@h/d",
        "postgresql://h/d?password=correct horse&retry=0",
        "postgresql://h/d?sslpassword=correct horse&schema=",
    ],
)
def test_an_error_shows_no_password(url: str) -> None:
    """Neither as it is written, nor as it is meant, nor in a traceback."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(url)

    text = "".join(traceback.format_exception(caught.value))
    assert "horse" not in text.replace(url, "")
    assert "horse" not in str(caught.value)


async def test_no_server_no_password() -> None:
    """What fails with a password in the URL does not show it."""
    url = "postgresql://u:correct%20horse@127.0.0.1:1/d?retry=0.01"
    promises = connect(url)
    with pytest.raises(DurablePromiseError) as caught:
        await promises.promise("a").peek()
    await promises.aclose()

    seen = traceback.TracebackException.from_exception(
        caught.value, capture_locals=True
    )
    shown = "".join(seen.format())
    assert "127.0.0.1" in str(caught.value)
    assert "horse" not in str(caught.value) + repr(promises) + repr(parse_url(url))
    assert not [
        line for line in shown.splitlines() if "horse" in line and " url = " not in line
    ]
