"""The receiver of signed webhooks: who is believed, redelivery, and lost waiters."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import dp_core as dp
from support.docs.programs import python, running, served, state
from support.server_process import Answer, Server

# Of GitHub's documentation, with the signature that it gives for b"Hello, World!".
SECRET: Final = "It's a Secret to Everybody"  # noqa: S105 - published
DOCUMENTED: Final = (
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)
WORDS: Final = ("uvicorn", "webhook_receiver:app", "--port", "0", "--no-access-log")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of the receiver's store."""
    return f"file:{tmp_path_factory.mktemp('store')}/promises"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Server]:
    """Run the receiver."""
    place = tmp_path_factory.mktemp("receiver")
    with served(*WORDS, cwd=place, DP_URL=url, WEBHOOK_SECRET=SECRET) as server:
        yield server


def signed(body: bytes, secret: str = SECRET) -> str:
    """Return what an outside system sends as signature."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def send(receiver: Server, event: Any) -> Answer:
    """Do what the outside system does."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return receiver.ask("/webhooks", body, {"X-Hub-Signature-256": signed(body)})


def test_a_waiter_that_was_killed_gets_it_after_a_redelivery(
    receiver: Server, url: str, tmp_path: Path
) -> None:
    """The first delivery settles, the second changes nothing, in whatever words."""
    get = ("-m", "dp_core", "get", "payment-1", "--url", url)
    with running(*get, cwd=tmp_path) as lost:
        lost.kill()
    with running(*get, cwd=tmp_path) as kept:
        told = [
            send(receiver, {"order": "1", "status": status, "note": note}).status
            for status, note in (("paid", "at 12:00"), ("paid", ""), ("failed", "no"))
        ]
        got = kept.communicate()[0]

    assert [204, 204, 204] == told
    assert "at 12:00\n" == got
    assert (0, got) == python(*get, cwd=tmp_path)


def test_a_signature_is_that_of_the_documentation(receiver: Server) -> None:
    """GitHub's own example is believed, and then found not to be an event."""
    body = b"Hello, World!"
    assert signed(body) == DOCUMENTED

    answer = receiver.ask("/webhooks", body, {"X-Hub-Signature-256": DOCUMENTED})

    assert 400 == answer.status


EVENT: Final = b'{"order": "forged", "status": "paid"}'


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        "sha1=" + hmac.new(SECRET.encode(), EVENT, hashlib.sha1).hexdigest(),
        signed(EVENT, "another secret of somebody"),
        signed(EVENT + b" "),
        signed(EVENT)[:-1],
        signed(EVENT)[:-1] + "\xe9",
    ],
)
def test_without_the_secret_nothing_is_settled(
    receiver: Server, url: str, signature: str | None
) -> None:
    """Whatever stands in the header's place, it is 401."""
    headers = {} if signature is None else {"X-Hub-Signature-256": signature}

    assert 401 == receiver.ask("/webhooks", EVENT, headers).status
    assert dp.Pending() == state(url, "payment-forged")


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        ({"order": "2"}, 400),
        ({"order": "2", "status": "perhaps"}, 400),
        ({"order": "../2", "status": "paid"}, 400),
        ({"order": "2\n", "status": "paid"}, 400),
        ({"order": "2" * 65, "status": "paid"}, 400),
        (b'{"order": "2", "status": "paid", "note": "\\ud800"}', 400),
        ({"order": "2", "status": "paid", "note": "n" * 65536}, 413),
    ],
)
def test_what_is_signed_is_checked_all_the_same(
    receiver: Server, url: str, event: Any, status: int
) -> None:
    """An event of another form is refused for good; it would never become right."""
    assert status == send(receiver, event).status
    assert dp.Pending() == state(url, "payment-2")


def test_foreign_text_is_shown_as_text(receiver: Server) -> None:
    """A page shows what others wrote, and a browser runs nothing of it."""
    note = "<script>alert('1')</script>\"&"
    send(receiver, {"order": "3", "status": "failed", "note": note})

    page = receiver.ask("/orders/3", method="GET")

    assert "text/html; charset=utf-8" == page.headers["content-type"]
    assert b"&lt;script&gt;alert(" in page.body
    assert b"<script" not in page.body
    asked = [
        receiver.ask(f"/orders/{id}", method="GET") for id in ("4", "%3Cb%3E", "%00")
    ]
    assert [200, 400, 400] == [answer.status for answer in asked]


def test_a_secret_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    """Whoever forgets the secret learns it from the receiver, before others do."""
    code, said = python(
        "-c", "import webhook_receiver", cwd=tmp_path, WEBHOOK_SECRET=""
    )

    assert 1 == code
    assert "WEBHOOK_SECRET can be guessed" in said
