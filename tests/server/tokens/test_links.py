"""Links: `promises.link` and ``dp link``, and the tokens in them."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
import pytest

import dp_core.sync
from dp_core import (
    AccessDeniedError,
    InvalidLinkError,
    InvalidPromiseIdError,
    Promises,
    connect,
)
from support.core.program import PROGRAM

SECRET: Final = "s" * 32
BASE: Final = "https://promises.example.com"
WEEK: Final = timedelta(days=7)


@pytest.fixture(autouse=True)
def no_secret_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file of the machine count."""
    monkeypatch.delenv("DP_SECRET_FILE", raising=False)


@pytest.fixture
def promises() -> Promises:
    """A handle on a store that is not a server."""
    return connect("memory:links")


def claims(link: str) -> dict[str, Any]:
    """Return what the token in a link says."""
    [token] = parse_qs(urlsplit(link).query)["token"]
    read: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"])
    return read


async def test_a_link_is_for_one_promise(promises: Promises) -> None:
    """Its token names the promise exactly, two rights, an end, and nobody."""
    link = await promises.link("order-*", expires=WEEK, base=BASE, secret=SECRET)

    said = claims(link)
    left = said.pop("exp") - datetime.now(UTC).timestamp()
    assert {"id": "order-*", "rights": ["read", "settle"]} == said
    assert WEEK.total_seconds() - 60 < left <= WEEK.total_seconds() + 1
    assert link.startswith(f"{BASE}/p/order-%2A?token=")


async def test_a_link_may_say_who_has_it(promises: Promises) -> None:
    """`by` is the subject of the token."""
    until = datetime(2999, 1, 1, tzinfo=UTC)
    link = await promises.link("x", expires=until, by="al", base=BASE, secret=SECRET)

    assert "al" == claims(link)["sub"]
    assert until.timestamp() == claims(link)["exp"]


@pytest.mark.parametrize("id", ["a/b", "ü ?#%", "<script>", "x" * 1024, "a\nb", "..."])
async def test_the_path_names_the_promise(promises: Promises, id: str) -> None:
    """Whatever is in an id is one segment of the path."""
    link = await promises.link(id, expires=WEEK, base=f"{BASE}/dp/", secret=SECRET)

    path = urlsplit(link).path
    assert ["", "dp", "p"] == path.split("/")[:-1]
    assert id == unquote(path.split("/")[-1]) == claims(link)["id"]


@pytest.mark.parametrize("id", [".", ".."])
async def test_dots_are_not_directories(promises: Promises, id: str) -> None:
    """A browser would go up by them, so they are in the query."""
    link = await promises.link(id, expires=WEEK, base=BASE, secret=SECRET)

    assert "/p/" == urlsplit(link).path
    assert [id] == parse_qs(urlsplit(link).query)["id"]


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("http://localhost:8080", "http://localhost:8080/p/x?"),
        ("https://user:pw@h/dp/?retry=3", "https://h/dp/p/x?"),
        ("http://[::1]:1/", "http://[::1]:1/p/x?"),
    ],
)
async def test_a_server_is_its_own_base(store: str, expected: str) -> None:
    """Its URL without what is a client's own."""
    handle = Promises(connect("memory:").backend, store)
    link = await handle.link("x", expires=WEEK, secret=SECRET)

    assert link.startswith(expected)


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (None, "base="),
        ("promises.example.com", "not a valid URL"),
        ("ftp://h", "not a valid URL"),
        ("javascript:alert(1)", "not a valid URL"),
        ("https://", "not a valid URL"),
        ("https://h:x", "not a valid URL"),
        ("https://[", "not a valid URL"),
        ("https://h?a=b", "more in it"),
        ("https://h#a", "more in it"),
        ("https://user:pw@h", "more in it"),
    ],
)
async def test_a_link_leads_to_a_server(
    promises: Promises, base: str | None, reason: str
) -> None:
    """Without one, or with what is not one, the error says what to write."""
    with pytest.raises(InvalidLinkError, match=reason) as caught:
        await promises.link("x", expires=WEEK, base=base, secret=SECRET)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "expires",
    [
        timedelta(0),
        timedelta(days=-1),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2999, 1, 1),  # noqa: DTZ001 - it is refused
        timedelta.max,
        "3d",
        None,
    ],
)
async def test_a_link_ends_later(promises: Promises, expires: Any) -> None:
    """It must end, and not have ended."""
    with pytest.raises(InvalidLinkError):
        await promises.link("x", expires=expires, base=BASE, secret=SECRET)


async def test_a_link_needs_a_secret(promises: Promises, tmp_path: Path) -> None:
    """None, a short one, an odd name, an id that cannot be: each has its error."""
    with pytest.raises(AccessDeniedError, match="DP_SECRET_FILE"):
        await promises.link("x", expires=WEEK, base=BASE)
    with pytest.raises(AccessDeniedError, match="32 characters"):
        await promises.link("x", expires=WEEK, base=BASE, secret="s" * 31)
    with pytest.raises(AccessDeniedError, match="256"):
        await promises.link("x", expires=WEEK, by="n" * 257, base=BASE, secret=SECRET)
    with pytest.raises(InvalidPromiseIdError):
        await promises.link("", expires=WEEK, base=BASE, secret=SECRET)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """A file of two secrets."""
    path = tmp_path / "secrets"
    path.write_text(f"\n{SECRET}\n{'o' * 32}\n")
    path.chmod(0o600)
    return path


async def test_the_first_secret_of_the_file_signs(
    promises: Promises, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DP_SECRET_FILE`` names it, for a server and for who makes links."""
    monkeypatch.setenv("DP_SECRET_FILE", str(secret_file))

    assert "x" == claims(await promises.link("x", expires=WEEK, base=BASE))["id"]


def test_links_without_async() -> None:
    """`dp_core.sync` makes the same link."""
    with dp_core.sync.connect("memory:links") as promises:
        link = promises.link("x", expires=WEEK, by="al", base=BASE, secret=SECRET)

    assert ("x", "al") == (claims(link)["id"], claims(link)["sub"])


def dp(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``dp link`` to its end."""
    return subprocess.run(
        [*PROGRAM, "link", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={**os.environ, "DP_URL": "http://localhost:9", **env},
    )


def test_dp_link_prints_one_line(secret_file: Path) -> None:
    """The link alone, of the first secret, for whom it says."""
    done = dp(
        *("approve-17", "--expires", "3d", "--for", "alice"),
        *("--secret-file", str(secret_file)),
    )

    [line] = done.stdout.splitlines()
    assert ("approve-17", "alice") == (claims(line)["id"], claims(line)["sub"])
    assert line.startswith("http://localhost:9/p/approve-17?token=")
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.slow
def test_dp_link_says_what_is_wrong(secret_file: Path) -> None:
    """Exit code 2, nothing on stdout, and what to do."""
    with_secret = {"DP_SECRET_FILE": str(secret_file)}
    for done, reason in (
        (dp("x", "--expires", "3d"), "--secret-file"),
        (dp("x", "--expires", "3d", **with_secret, DP_URL="memory:"), "base="),
        (dp("x", "--expires", "0s", **with_secret), "over already"),
        (dp("x", **with_secret), "--expires"),
        (dp("", "--expires", "3d", **with_secret), "invalid promise id"),
    ):
        assert (2, "") == (done.returncode, done.stdout)
        assert reason in done.stderr
