"""Signed tokens: which are taken, and how secrets are replaced."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import time_machine

from dp_core import AccessDeniedError, connect
from dp_core._access import (
    Access,
    check_signing_secrets,
    read_access,
    read_secrets_file,
    write_access,
)
from dp_core.server import App, Settings, app
from support.server.asgi_driver import ask

SECRET: Final = "s" * 32
OTHER: Final = "o" * 32
LATER: Final = datetime(2999, 1, 1, tzinfo=UTC)
EXP: Final = int(LATER.timestamp())
GOOD: Final[dict[str, Any]] = {"rights": ["read"], "ids": ["x"], "exp": EXP}


def signed(
    claims: object = GOOD,
    *,
    secret: str = SECRET,
    header: dict[str, object] | None = None,
) -> bytes:
    """Return a token, with any claims and header."""
    parts = [header or {"alg": "HS256", "typ": "JWT"}, claims]
    text = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in parts
    )
    signature = jwt.algorithms.get_default_algorithms()["HS256"].sign(
        text, secret.encode()
    )
    return text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


def without(key: str) -> dict[str, Any]:
    """Return good claims without one."""
    return {name: value for name, value in GOOD.items() if name != key}


def test_a_token_says_what_was_written() -> None:
    """Rights, promises, name, and until when."""
    for access in (
        Access(frozenset({"read", "settle"}), ("order-*", "x")),
        Access(frozenset({"dispose"}), None, "a*", "älice"),
        Access(frozenset({"list"}), ("*",)),
    ):
        read = read_access(
            write_access(access, LATER, [SECRET, OTHER]).encode(), [SECRET]
        )
        assert (access, EXP) == (read, read.expires)


TAKEN: Final = {
    "as written": signed(),
    "other claims": signed({**GOOD, "iat": 1, "iss": "us", "jti": "1", "team": [1]}),
    "no type": signed(header={"alg": "HS256"}),
    "type in small letters": signed(header={"alg": "HS256", "typ": "jwt"}),
    "a fraction of a second": signed({**GOOD, "exp": EXP + 0.5}),
    "one id": signed({**without("ids"), "id": "x*"}),
}
REFUSED: Final = {
    "nothing": b"",
    "not a token": b"abc",
    "not text": b"\xff.\xff.\xff",
    "two parts": b"a.b",
    "no signature": signed().rpartition(b".")[0] + b".",
    "another secret": signed(secret=OTHER),
    "none": signed(header={"alg": "none"}),
    "none, unsigned": signed(header={"alg": "none"}).rpartition(b".")[0] + b".",
    "another algorithm": signed(header={"alg": "HS512", "typ": "JWT"}),
    "an algorithm of key pairs": signed(header={"alg": "RS256", "typ": "JWT"}),
    "another algorithm, signed by it": jwt.encode(GOOD, SECRET * 2, "HS512").encode(),
    "none, by the library": jwt.encode(GOOD, None, "none").encode(),
    "no algorithm": signed(header={"typ": "JWT"}),
    "another type": signed(header={"alg": "HS256", "typ": "at+jwt"}),
    "a type that is no text": signed(header={"alg": "HS256", "typ": 1}),
    "an extension": signed(header={"alg": "HS256", "crit": ["x"], "x": 1}),
    "deep": base64.urlsafe_b64encode(b"[" * 40_000) + b".e30.AA",
    "no exp": signed(without("exp")),
    "exp of another type": signed({**GOOD, "exp": "never"}),
    "exp in the past": signed({**GOOD, "exp": 1}),
    "exp too large": signed({**GOOD, "exp": 10**400}),
    "exp as text": signed({**GOOD, "exp": str(EXP)}),
    "exp infinite": signed({**GOOD, "exp": float("inf")}),
    "not yet": signed({**GOOD, "nbf": EXP - 1}),
    "for somebody else": signed({**GOOD, "aud": "others"}),
    "no rights": signed(without("rights")),
    "empty rights": signed({**GOOD, "rights": []}),
    "unknown right": signed({**GOOD, "rights": ["read", "admin"]}),
    "rights as text": signed({**GOOD, "rights": "read"}),
    "rights that are no texts": signed({**GOOD, "rights": [["read"]]}),
    "no ids": signed(without("ids")),
    "empty ids": signed({**GOOD, "ids": []}),
    "ids as text": signed({**GOOD, "ids": "*"}),
    "ids and id": signed({**GOOD, "id": "x"}),
    "an empty id": signed({**without("ids"), "id": ""}),
    "an id that is no text": signed({**without("ids"), "id": ["x"]}),
    "a name that is no text": signed({**GOOD, "sub": 5}),
    "a name that is too long": signed({**GOOD, "sub": "x" * 300}),
    "claims that are no object": signed([1]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken(name: str) -> None:
    """A token of this server, however it was written."""
    assert frozenset({"read"}) == read_access(TAKEN[name], [SECRET]).rights


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """With 401, and without a word of it in answer and log."""
    with pytest.raises(AccessDeniedError):
        read_access(REFUSED[name], [SECRET, SECRET * 2])
    served = app(connect("memory:").backend, Settings(secrets=(SECRET,)))
    headers = [(b"authorization", b"Bearer " + REFUSED[name])]
    with caplog.at_level(logging.WARNING):
        answer = await ask(served, "/promise/peek", {"promiseId": "x"}, headers=headers)
    assert 401 == answer.status
    assert 1 == len(caplog.records)
    if len(REFUSED[name]) > 3:
        said = caplog.text.encode() + answer.body
        assert REFUSED[name] not in said
        assert REFUSED[name].partition(b".")[0] not in said


async def status(served: App, token: bytes | str) -> int | None:
    """Return the status of a peek with a token."""
    sent = token.encode() if isinstance(token, str) else token
    headers = [(b"authorization", b"Bearer " + sent)]
    return (
        await ask(served, "/promise/peek", {"promiseId": "x"}, headers=headers)
    ).status


async def test_a_token_is_over_when_it_was_taken_before() -> None:
    """It is remembered, its end too."""
    served = app(connect("memory:").backend, Settings(secrets=(SECRET,)))
    with time_machine.travel(datetime(2998, 12, 31, tzinfo=UTC), tick=False) as clock:
        assert 200 == await status(served, signed())
        clock.move_to(LATER)
        assert 401 == await status(served, signed())


async def test_many_tokens_are_not_remembered_for_ever() -> None:
    """A thousand of them are."""
    served = app(connect("memory:").backend, Settings(secrets=(SECRET,)))
    for number in range(1_100):
        assert 200 == await status(served, signed({**GOOD, "jti": str(number)}))
    assert len(served._guard._bearer._known) <= 1_000


@pytest.fixture
def secrets(tmp_path: Path) -> Callable[..., Path]:
    """Writes the secrets of a server into a file, as one that takes its place."""

    def write(*lines: str) -> Path:
        new, path = tmp_path / "new", tmp_path / "secrets"
        new.write_text("\n".join(lines) + "\n", encoding="utf-8")
        new.chmod(0o600)
        new.replace(path)
        return path

    return write


async def test_secrets_are_replaced_while_the_server_runs(
    secrets: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one counts at once; the old one as long as it is in the file."""
    monkeypatch.setattr("dp_core.server._guarding._bearer.LOOK_SECONDS", 0.0)
    path = secrets(SECRET)
    served = app(connect("memory:").backend, Settings(secret_file=str(path)))
    old, new = signed(), signed(secret=OTHER)
    assert [200, 401] == [await status(served, old), await status(served, new)]
    secrets(OTHER, "", SECRET)
    assert [200, 200] == [await status(served, new), await status(served, old)]
    secrets(OTHER)
    assert [401, 200] == [await status(served, old), await status(served, new)]


async def test_a_file_that_cannot_be_read_changes_nothing(
    secrets: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The secrets stay what they were, and the log says why."""
    monkeypatch.setattr("dp_core.server._guarding._bearer.LOOK_SECONDS", 0.0)
    path = secrets(SECRET)
    served = app(connect("memory:").backend, Settings(secret_file=str(path)))
    secrets("short")
    with caplog.at_level(logging.ERROR):
        assert 200 == await status(served, signed())
    assert "the secret file stays what it was" in caplog.text
    assert "short" not in caplog.text.replace("shorter", "")


@pytest.mark.parametrize("lines", [[], ["", "  "], ["x" * 31], ["x" * 32, "y"]])
def test_secrets_are_long(secrets: Callable[..., Path], lines: list[str]) -> None:
    """A blank line is never one; the error says how to make one, and shows none."""
    with pytest.raises(AccessDeniedError, match="token_urlsafe") as caught:
        read_secrets_file(str(secrets(*lines)))
    assert "xxxx" not in str(caught.value)
    with pytest.raises(AccessDeniedError):
        Settings(secrets=tuple(lines) or (" ",))


def test_a_file_of_secrets_is_closed_to_others(secrets: Callable[..., Path]) -> None:
    """As that of a token."""
    path = secrets(SECRET, "", OTHER + "  ")
    assert (SECRET, OTHER) == read_secrets_file(str(path))
    # Also where it belongs to root.
    path.chmod(0o666)
    with pytest.raises(AccessDeniedError, match="chmod 600"):
        read_secrets_file(str(path))
    assert (SECRET,) == check_signing_secrets(["", SECRET])
