"""Requests of HTTP: the token in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dp_backends.http import HttpBackend
from dp_core import (
    AccessDeniedError,
)
from support.http_faults import Server


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
