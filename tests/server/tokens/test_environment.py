"""Variables and options that name a token: an option has a value."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import dp_core as dp
from dp_core import server
from dp_core._access import secrets_file_from_environment, signing_secrets
from dp_core.backend import token_from_environment


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("DP_TOKEN", token_from_environment),
        ("DP_TOKEN_FILE", token_from_environment),
        ("DP_SECRET_FILE", secrets_file_from_environment),
    ],
)
def test_an_empty_variable_counts_as_not_set(
    name: str, read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program may start another one without it so."""
    for other in ("DP_TOKEN", "DP_TOKEN_FILE", "DP_SECRET_FILE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "")
    assert read() is None


def test_a_file_without_a_name_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, whatever the environment says, and does not mean that all may."""
    monkeypatch.setenv("DP_TOKEN", "secret")
    monkeypatch.setenv("DP_SECRET_FILE", "/nowhere")
    with pytest.raises(dp.AccessDeniedError, match="the token file '' has no name"):
        token_from_environment("")
    with pytest.raises(dp.AccessDeniedError, match="the secret file '' has no name"):
        signing_secrets("")
    assert server.Settings(token_file="").asks_for_tokens
    assert server.Settings(secret_file="").asks_for_tokens
    assert not server.Settings().asks_for_tokens
