"""Callbacks and tokens: who is told of URLs; deliveries are the server's own."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from dp_core import Pending, Promises
from dp_core.server import App
from support.server.asgi_driver import Request, ask
from support.server.people import look, send, served, text_of, token_of

URL: Final = "https://hooks.example.com/a-secret-path"
ALL: Final = ("*",)
EVERY: Final = ("read", "create", "settle", "dispose", "list")
SERVERS: Final[dict[str, dict[str, Any]]] = {
    "secret": {"token": None},
    "no token": {"token": None, "secrets": ()},
}


@pytest.fixture
def hooks() -> App:
    """Return an app that makes callbacks to one host."""
    return served(notify_allow=("hooks.example.com",))


async def asked(
    app: App, path: str, body: object = None, token: str | None = None, **more: Any
) -> Request:
    """Make a request, with a token."""
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return await ask(app, path, body, headers=headers, **more)


async def delivery_of(app: App, id: str) -> str:
    """Create a promise with a callback; return the id of its delivery."""
    promises = Promises(app._backend, "memory:")
    await promises.create(id, notify=[URL])
    (delivery,) = [info.id async for info in promises.list(tags={"dp.of": id})]
    return delivery


# Who is told of URLs ----------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "sees"),
    [
        (token_of("create", ids=("order-*",)), True),
        (token_of(*EVERY, ids=ALL), True),
        (token_of("read", "list", ids=ALL), False),
        (token_of("read", "list", "settle", "dispose", ids=ALL), False),
        (token_of("create", "read", "list", ids=("order-1*",)), True),
    ],
)
async def test_urls_are_for_who_may_create(hooks: App, token: str, sees: bool) -> None:
    """They are often secrets between creator and receiver; no delivery is named."""
    delivery = await delivery_of(hooks, "order-17")
    answers = [
        await asked(hooks, "/promise/info", {"promiseId": "order-17"}, token),
        await asked(hooks, "/promises/order-17", None, token, method="GET"),
        await asked(hooks, "/batch", [{"op": "info", "promiseId": "order-17"}], token),
        await asked(hooks, "/promises", None, token, method="GET"),
    ]

    told = [json.loads(each.body) for each in answers if each.status == 200]
    infos = [*told[:2], told[2][0]["body"]]
    if len(told) > 3:
        infos += told[3]["promises"]
    assert infos
    for info in infos:
        assert ([URL] if sees else None) == info.get("notify")
        assert delivery not in json.dumps(info)


async def test_a_create_elsewhere_is_no_right_here(hooks: App) -> None:
    """Who may create other promises is not told the URLs of this one."""
    await delivery_of(hooks, "order-17")
    one = token_of("create", ids=("invoice-*",))
    both = token_of("read", ids=("order-17",))

    assert (
        403
        == (await asked(hooks, "/promises/order-17", token=one, method="GET")).status
    )
    info = await asked(hooks, "/promises/order-17", token=both, method="GET")
    assert "notify" not in info.json()


async def test_the_page_of_a_promise_shows_no_urls(hooks: App) -> None:
    """Whoever has a link reads what it is about, and not whom the server calls."""
    delivery = await delivery_of(hooks, "order-17")
    page = await look(hooks, f"/p/order-17?token={token_of('read', ids=('order-17',))}")

    assert 200 == page.status
    assert b"hooks.example.com" not in page.body
    assert delivery.encode() not in page.body


# Deliveries -------------------------------------------------------------------

CHANGES: Final[dict[str, tuple[str, dict[str, Any] | None]]] = {
    "resolve": ("/promise/resolve", {"value": "forged"}),
    "reject": ("/promise/reject", {"errorMessage": "forged"}),
    "dispose": ("/promise/dispose", {}),
    "create": ("/promise/create", {}),
}


def forms(op: str, id: str) -> list[tuple[str, object]]:
    """Return the paths and bodies of a change, in each form of the wire."""
    path, more = CHANGES[op]
    whole = [
        (path, {"promiseId": id, **(more or {})}),
        ("/batch", [{"op": op, "promiseId": id, **(more or {})}]),
    ]
    if op == "create":
        return whole
    return [
        *whole,
        (f"/promises/{id}/{op}", "forged"),
        (f"/promises/%64%70{id[2:]}/{op}", "forged"),
        (
            f"/durablePromiseServer/{op}",
            {"request": {"promiseName": id, **(more or {})}},
        ),
    ]


@pytest.mark.parametrize("op", CHANGES)
@pytest.mark.parametrize("kind", SERVERS)
async def test_nobody_from_outside_changes_deliveries(op: str, kind: str) -> None:
    """Whatever the token: a callback is not stopped by settling what keeps it."""
    hooks = served(notify_allow=("hooks.example.com",), **SERVERS[kind])
    delivery = await delivery_of(hooks, "order-17")
    token = token_of(*EVERY, ids=(*ALL, delivery)) if kind == "secret" else None
    for id in (delivery, "dp_delivery_of-nobody"):
        for path, body in forms(op, id):
            answer = await asked(hooks, path, body, token)
            status, text = answer.status, answer.body
            if path == "/batch":
                (one,) = answer.json()
                status, text = one["status"], json.dumps(one["body"]).encode()
            assert 403 == status, (path, text)
            assert b"dispose of its promise" in text

    assert Pending() == await hooks._backend.peek(delivery)
    assert Pending() == await hooks._backend.peek("dp_delivery_of-nobody")


async def test_the_servers_own_token_does_not_either(hooks: App) -> None:
    """It has all rights that there are."""
    delivery = await delivery_of(hooks, "order-17")
    answer = await asked(hooks, f"/promises/{delivery}/resolve", "forged", "m" * 40)

    assert 403 == answer.status
    assert Pending() == await hooks._backend.peek(delivery)


@pytest.mark.parametrize("fields", [{"boolean": "true"}, {"dispose": "yes"}])
async def test_the_page_of_a_delivery_has_no_forms(
    hooks: App, fields: dict[str, str]
) -> None:
    """Who may create any promise may read it; nothing is offered, or taken."""
    delivery = await delivery_of(hooks, "order-17")
    token = token_of(*EVERY, ids=ALL)
    url = f"/p/{delivery}?token={token}"
    cookie = [(b"cookie", f"dp-token={token}".encode())]
    by_link = await look(hooks, url)
    by_board = await look(hooks, f"/p/{delivery}", headers=cookie)
    answer = await send(hooks, url, fields)

    assert (200, 200, 403) == (by_link.status, by_board.status, answer.status)
    for page in (by_link, by_board):
        assert URL in text_of(page)
        assert b"<form" not in page.body
    assert Pending() == await hooks._backend.peek(delivery)


async def test_no_pattern_but_all_is_for_deliveries(hooks: App) -> None:
    """Their ids begin with letters that somebody's promises may begin with, too."""
    delivery = await delivery_of(hooks, "order-17")
    for ids in (("d*",), ("dp_*",), ("dp_delivery_*",), (f"{delivery}*",)):
        token = token_of(*EVERY, ids=ids)
        for path in (f"/promises/{delivery}/peek", "/promise/info"):
            answer = await asked(hooks, path, {"promiseId": delivery}, token)
            assert 403 == answer.status, ids
        watched = await asked(hooks, "/watch", {"promiseIds": [delivery]}, token)
        listed = await asked(
            hooks, "/promises", token=token, method="GET", query="tag=dp.kind:delivery"
        )
        assert (403, 403) == (watched.status, listed.status)
        everything = await asked(hooks, "/promises", token=token, method="GET")
        assert [] == everything.json()["promises"]


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (("read", "list"), 403),
        (("read", "list", "settle", "dispose"), 403),
        (EVERY, 200),
    ],
)
async def test_deliveries_are_read_by_who_may_create_anything(
    hooks: App, rights: tuple[str, ...], status: int
) -> None:
    """They have the URL in them."""
    delivery = await delivery_of(hooks, "order-17")
    token = token_of(*rights, ids=ALL)
    answers = [
        await asked(hooks, f"/promises/{delivery}", token=token, method="GET"),
        await asked(hooks, f"/promises/{delivery}/peek", token=token),
        await asked(
            hooks, "/promises", token=token, method="GET", query="tag=dp.of:order-17"
        ),
    ]
    if status == 403:
        watched = await asked(hooks, "/watch", {"promiseIds": [delivery]}, token)
        answers.append(watched)
    board = await look(
        hooks,
        "/?tag=dp.kind:delivery",
        headers=[(b"accept", b"text/html"), (b"cookie", f"dp-token={token}".encode())],
    )

    assert {status} == {each.status for each in (*answers, board)}
    assert (URL.encode() in board.body) == (status == 200)
