"""Tokens: who has one, who may read it, and what without it is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from dp_core import AccessDeniedError, connect
from dp_core.server import App, Settings, app, read_token_file
from support.server.asgi_driver import Request, ask
from support.server.attackers import until
from support.server_process import JSON, running

PEEK: Final = b'{"promiseId":"x"}'
TOKEN: Final = "a-token_of.visible~characters+/="  # noqa: S105 - for this test


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN} {TOKEN}", 401),
        ("Bearer \xff", 401),
    ],
)
async def test_a_token_is_asked_for(authorization: str | None, expected: int) -> None:
    """Only the token itself lets in; a refusal says whether there was one."""
    guarded = app(connect("memory:guarded").backend, Settings(token=TOKEN))
    headers = (
        []
        if authorization is None
        else [(b"authorization", authorization.encode("latin-1"))]
    )
    answer = await ask(guarded, "/promise/peek", {"promiseId": "x"}, headers=headers)

    assert answer.status == expected
    if expected == 401:
        assert "Bearer" == answer.headers["www-authenticate"]
        sent = (authorization or "").lower().removeprefix("bearer").strip()
        wrong = sent and (authorization or "").lower().startswith("bearer ")
        said = (
            "this is not the server's token"
            if wrong
            else "this server asks for a token"
        )
        assert said == answer.json()["message"]


async def test_without_its_token_nothing_else_is_told() -> None:
    """Not even whether there is such an operation."""
    guarded = app(connect("memory:guarded").backend, Settings(token=TOKEN))
    for method, path in [("GET", "/promise/peek"), ("POST", "/nope")]:
        request = Request(path, method=method)
        await request.run(guarded)

        assert 401 == request.status


async def test_two_tokens_are_one_too_many() -> None:
    """Of two headers nobody can say which one counts."""
    guarded = app(connect("memory:guarded").backend, Settings(token=TOKEN))
    both = [(b"authorization", b"Bearer x"), (b"authorization", b"Bearer y")]
    answer = await ask(guarded, "/promise/peek", headers=both)

    assert 400 == answer.status


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "é", "\0"])
def test_a_token_can_be_sent_in_a_header(token: str) -> None:
    """What no header carries is refused before anybody relies on it."""
    with pytest.raises(AccessDeniedError, match="token_urlsafe"):
        Settings(token=token)


SHORT: Final = ("t", "token", "1a~Z+")


@pytest.mark.parametrize("token", SHORT)
def test_a_token_that_would_be_guessed_is_refused(token: str, tmp_path: Path) -> None:
    """Five characters are no secret, wherever a server is given them."""
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    path.chmod(0o600)

    with pytest.raises(AccessDeniedError, match="token_urlsafe"):
        Settings(token=token)
    with pytest.raises(AccessDeniedError, match="shorter than 6 characters"):
        app(connect("memory:guarded").backend, Settings(token_file=str(path)))
    assert f"{token}x" * 6 == Settings(token=f"{token}x" * 6).token


def test_a_token_is_not_shown() -> None:
    """Printing settings gives no token away."""
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_a_token_file_is_read(tmp_path: Path) -> None:
    """The line end that editors add is no part of the token."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)

    assert read_token_file(str(path)) == TOKEN
    path.chmod(0o400)
    assert read_token_file(str(path)) == TOKEN


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o422])
def test_a_token_file_is_nobody_elses(tmp_path: Path, mode: int) -> None:
    """A file that others can write is not a secret, whoever owns it."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(mode)

    with pytest.raises(AccessDeniedError, match="chmod 600"):
        read_token_file(str(path))


READ_AS: Final = """
import os, sys
from dp_core import AccessDeniedError
from dp_core.server import read_token_file
os.setuid(int(sys.argv[2]))
try:
    print(read_token_file(sys.argv[1]))
except AccessDeniedError as error:
    print(error)
"""


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """Return the path of a file in a directory that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "token"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("owner", "mode", "expected"),
    [
        (0, 0o444, TOKEN),
        (0, 0o644, TOKEN),
        (12345, 0o600, TOKEN),
        (12345, 0o640, "chmod 600"),
        (12345, 0o604, "chmod 600"),
        (12346, 0o444, "another user"),
    ],
)
def test_a_secret_that_root_mounts_may_be_readable(
    shared_path: Path, owner: int, mode: int, expected: str
) -> None:
    """Root's file need only not be writable; a file of one's own must be closed."""
    shared_path.write_text(TOKEN)
    shared_path.chmod(mode)
    os.chown(shared_path, owner, 0)

    output = subprocess.check_output(
        [sys.executable, "-c", READ_AS, str(shared_path), "12345"], text=True
    )

    assert expected in output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_token_file_belongs_to_its_reader(tmp_path: Path) -> None:
    """A file that another user may replace holds no secret of ours."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    os.chown(path, 12345, -1)

    with pytest.raises(AccessDeniedError, match="another user"):
        read_token_file(str(path))


@pytest.mark.parametrize("text", [b"", b"\n", b"a b", b"\xff", b"a\nb"])
def test_a_token_file_holds_a_token(tmp_path: Path, text: bytes) -> None:
    """Anything but a token is refused, with the way to make one."""
    path = tmp_path / "token"
    path.write_bytes(text)
    path.chmod(0o600)

    with pytest.raises(AccessDeniedError, match=r"token_urlsafe|UTF-8"):
        read_token_file(str(path))


def test_a_token_file_is_there(tmp_path: Path) -> None:
    """A file that is missing, or no file, is named."""
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(AccessDeniedError, match=re.escape(str(path))):
            read_token_file(str(path))


def test_a_real_server_asks_for_its_token() -> None:
    """The whole way, with a client's headers."""
    with running("memory:", token=TOKEN) as server:
        without = server.ask("/promise/peek", PEEK)
        given = server.ask(
            "/promise/peek", PEEK, {**JSON, "Authorization": f"Bearer {TOKEN}"}
        )

    assert 401 == without.status
    assert 200 == given.status


async def asked(promises: App, token: str) -> int:
    """Return how a request with a token is answered."""
    header = (b"authorization", f"Bearer {token}".encode())
    return (await ask(promises, "/promises/x/peek", headers=[header])).status


@pytest.mark.parametrize("how", ["written", "replaced", "by a link"])
async def test_a_replaced_token_counts_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """However the file was replaced, the new token lets in, and the old one not."""
    monkeypatch.setattr("dp_core.server._guarding._bearer.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("dp_core.server._guarding._bearer.AGAIN_SECONDS", 0.0)
    old, new = tmp_path / "old", tmp_path / "new"
    for path in (old, new):
        path.write_text(f"{path.name}-{TOKEN}\n")
        path.chmod(0o600)
    # As orchestrators do it: the name is a link that is put somewhere else.
    file = tmp_path / "token"
    file.symlink_to(old) if how == "by a link" else old.rename(file)
    guarded = app(connect("memory:").backend, Settings(token_file=str(file)))

    assert 200 == await asked(guarded, f"old-{TOKEN}")
    assert 401 == await asked(guarded, f"new-{TOKEN}")
    if how == "written":
        file.write_text(new.read_text())
    elif how == "replaced":
        new.rename(file)
    else:
        (tmp_path / "next").symlink_to(new)
        (tmp_path / "next").rename(file)
    assert 200 == await asked(guarded, f"new-{TOKEN}")
    assert 401 == await asked(guarded, f"old-{TOKEN}")


async def test_a_new_token_counts_before_the_server_looks_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes with one that is not known may have been faster than the server."""
    monkeypatch.setattr("dp_core.server._guarding._bearer.LOOK_SECONDS", 1000.0)
    monkeypatch.setattr("dp_core.server._guarding._bearer.AGAIN_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text(f"old-{TOKEN}\n")
    file.chmod(0o600)
    guarded = app(connect("memory:").backend, Settings(token_file=str(file)))
    assert 200 == await asked(guarded, f"old-{TOKEN}")
    file.write_text(f"new-{TOKEN}\n")

    assert 200 == await asked(guarded, f"new-{TOKEN}")
    assert 401 == await asked(guarded, f"old-{TOKEN}")


@pytest.mark.parametrize("fault", ["gone", "empty", "open to others", "a directory"])
async def test_a_token_stays_where_its_file_is_no_secret_any_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    """The server goes on with the token it has, and says why in its log."""
    monkeypatch.setattr("dp_core.server._guarding._bearer.LOOK_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    guarded = app(connect("memory:").backend, Settings(token_file=str(file)))
    file.unlink()
    if fault == "a directory":
        file.mkdir()
    elif fault != "gone":
        file.write_text("" if fault == "empty" else f"new-{TOKEN}")
        file.chmod(0o600 if fault == "empty" else 0o666)

    assert 200 == await asked(guarded, TOKEN)
    assert 401 == await asked(guarded, f"new-{TOKEN}")
    assert "the token stays what it was" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.slow
def test_a_real_server_takes_a_new_token(tmp_path: Path) -> None:
    """The whole way: a file that is replaced under a running process."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    with running("memory:", token_file=str(file)) as server:
        bearer = {**JSON, "Authorization": f"Bearer new-{TOKEN}"}
        assert 401 == server.ask("/promise/peek", PEEK, bearer).status
        file.write_text(f"new-{TOKEN}")
        until(lambda: server.ask("/promise/peek", PEEK, bearer).status == 200)
