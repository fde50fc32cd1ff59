"""Requests of HTTP: the token in them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from dp_backends.http import HttpBackend
from dp_core import AccessDeniedError, Resolved
from support.http import Server, failure
from support.http import known as handle

ONE = Resolved(b"1")


@pytest.mark.parametrize("kept_in", ["variable", "file"])
async def test_the_token_is_sent(
    kept_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DP_TOKEN``, or else the file of ``DP_TOKEN_FILE``, is the bearer token."""
    path = tmp_path / "token"
    path.write_text("t0ken\n")
    monkeypatch.delenv("DP_TOKEN", raising=False)
    if kept_in == "variable":
        monkeypatch.setenv("DP_TOKEN", "t0ken")
        path.write_text("other")
    monkeypatch.setenv("DP_TOKEN_FILE", str(path))
    async with Server().serving() as server:
        await HttpBackend(server.url).peek("a")

    assert b"Bearer t0ken" == server.headers[0][b"authorization"]


async def test_without_a_token_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no header."""
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.delenv("DP_TOKEN_FILE", raising=False)
    async with Server().serving() as server:
        await HttpBackend(server.url).peek("a")

    assert b"authorization" not in server.headers[0]


@pytest.mark.parametrize("token", ["two words", "a\r\nX-Other: b", "schlüssel", "a\0"])
async def test_a_token_cannot_add_a_header(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is not valid is refused before anything is sent, and not shown."""
    path = tmp_path / "token"
    path.write_text(token, encoding="utf-8", newline="")
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.setenv("DP_TOKEN_FILE", str(path))
    async with Server().serving() as server:
        with pytest.raises(AccessDeniedError, match="DP_TOKEN") as caught:
            await HttpBackend(server.url).peek("a")

    assert 0 == server.connections
    assert token not in str(caught.value)


async def test_a_missing_token_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and both ways to give a token."""
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.setenv("DP_TOKEN_FILE", str(tmp_path / "none"))

    with pytest.raises(AccessDeniedError, match=r"none.*DP_TOKEN .*DP_TOKEN_FILE"):
        await HttpBackend("http://127.0.0.1:1").peek("a")


async def test_a_token_that_was_replaced_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a 401, once: calls and waits go on with the new one, without a pause."""
    path = _token_file(tmp_path, monkeypatch, "old")
    async with Server().serving() as server:
        await server.backend.settle("a", ONE)
        for operation in ("peek", "settle", "wait", "dispose"):
            path.write_text("old")
            backend = await handle(server.url)
            path.write_text(f"new-{operation}")
            server.canned.append(failure(401))
            calls = {
                "peek": partial(backend.peek, "a"),
                "settle": partial(backend.settle, "a", ONE),
                "wait": partial(backend.wait, "a"),
                "dispose": partial(backend.dispose, "a"),
            }
            await calls[operation]()  # type: ignore[operator] # one of the calls above

            assert [b"Bearer old", f"Bearer new-{operation}".encode()] == [
                head[b"authorization"] for head in server.headers[-2:]
            ]


@pytest.mark.usefixtures("_long_pauses")
@pytest.mark.parametrize("second", ["old", "new"])
async def test_a_token_that_is_refused_again_is_an_error(
    second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is not tried twice, and a file that holds the same one is no news."""
    path = _token_file(tmp_path, monkeypatch, "old")
    async with Server().serving() as server:
        backend = await handle(server.url)
        path.write_text(second)
        server.canned.extend([failure(401)] * 3)
        with pytest.raises(AccessDeniedError, match="because"):
            await backend.peek("a")

    assert (2 if second == "new" else 1) == len(server.calls) - 1


async def test_a_token_file_that_went_away_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is followed by what is wrong here, if something is."""
    path = _token_file(tmp_path, monkeypatch, "old")
    async with Server().serving() as server:
        backend = await handle(server.url)
        path.unlink()
        server.canned.append(failure(401))
        with pytest.raises(AccessDeniedError, match=r"cannot be read.*DP_TOKEN_FILE"):
            await backend.peek("a")


async def test_no_coding_is_asked_for() -> None:
    """Without that, any server and proxy may compress what it likes."""
    async with Server().serving() as server:
        await HttpBackend(server.url).peek("a")

    assert b"identity" == server.headers[0][b"accept-encoding"]


def _token_file(folder: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> Path:
    path = folder / "token"
    path.touch(0o600)
    path.write_text(token)
    monkeypatch.delenv("DP_TOKEN", raising=False)
    monkeypatch.setenv("DP_TOKEN_FILE", str(path))
    return path
