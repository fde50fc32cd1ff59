"""Rights: which call takes which, for which promises, in every form of the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import anyio
import pytest

from dp_core import Resolved, connect
from dp_core._access import RIGHTS, Access, write_access
from dp_core.server import App, Settings, app
from dp_core.server._guarding import _permitted
from dp_core.wire import Call
from support.server.asgi_driver import Request, ask

SECRET: Final = "s" * 32
LATER: Final = datetime(2999, 1, 1, tzinfo=UTC)
ID: Final = "order-17"

Ask = Callable[..., Any]


def token(
    *rights: str,
    ids: tuple[str, ...] | None = ("order-*",),
    id: str | None = None,
    name: str | None = None,
) -> str:
    """Return a token of the server's."""
    access = Access(frozenset(rights), None if id else ids, id, name)
    return write_access(access, LATER, [SECRET])


@pytest.fixture
def served() -> App:
    """An app with a secret, over a store of its own."""
    backend = connect(f"memory:{uuid4()}").backend
    return app(backend, Settings(secrets=(SECRET,)))


async def asked(served: App, path: str, body: object, token: str, **more: Any) -> Any:
    """Return the answer to a request with a token."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return await ask(served, path, body, headers=headers, **more)


# Each call in each of its forms: its path, its body, and how it is asked.
FORMS: Final[Mapping[str, tuple[tuple[str, object, dict[str, str]], ...]]] = {
    "peek": (
        ("/promise/peek", {"promiseId": ID}, {}),
        (f"/promises/{ID}/peek", None, {}),
        ("/promises/order%2D17/peek", None, {}),
        ("/durablePromiseServer/peek", {"request": {"promiseName": ID}}, {}),
        ("/batch", [{"op": "peek", "promiseId": ID}], {}),
    ),
    "await": (
        ("/promise/await", {"promiseId": ID}, {}),
        (f"/promises/{ID}/await", None, {}),
        ("/durablePromiseServer/await", {"request": {"promiseName": ID}}, {}),
    ),
    "info": (
        ("/promise/info", {"promiseId": ID}, {}),
        (f"/promises/{ID}", None, {"method": "GET"}),
        ("/batch", [{"op": "info", "promiseId": ID}], {}),
    ),
    "settle": (
        ("/promise/resolve", {"promiseId": ID, "value": 1}, {}),
        ("/promise/reject", {"promiseId": ID, "errorMessage": "no"}, {}),
        (f"/promises/{ID}/resolve", 1, {}),
        (f"/promises/{ID}/reject", "no", {}),
        ("/durablePromiseServer/resolve", {"request": {"promiseName": ID}}, {}),
        ("/batch", [{"op": "resolve", "promiseId": ID, "value": 1}], {}),
        ("/batch", [{"op": "reject", "promiseId": ID, "errorMessage": "n"}], {}),
    ),
    "create": (
        ("/promise/create", {"promiseId": ID, "data": 1}, {}),
        ("/batch", [{"op": "create", "promiseId": ID}], {}),
    ),
    "dispose": (
        ("/promise/dispose", {"promiseId": ID}, {}),
        (f"/promises/{ID}/dispose", None, {}),
        ("/durablePromiseServer/dispose", {"request": {"promiseName": ID}}, {}),
        ("/batch", [{"op": "dispose", "promiseId": ID}], {}),
    ),
    "list": (("/promises", None, {"method": "GET"}),),
    "watch": (
        ("/watch", {"promiseIds": [ID]}, {}),
        ("/watch", None, {"method": "GET", "query": f"promiseId={ID}"}),
    ),
}

READING: Final = [{"read"}, {"settle"}, {"create"}]
NEEDED: Final[Mapping[str, list[set[str]]]] = {
    "peek": READING,
    "await": READING,
    "info": READING,
    "settle": [{"settle"}],
    "create": [{"create"}],
    "dispose": [{"dispose"}],
    "list": [{"list", "read"}],
    "watch": [{"list", "read"}],
}
"""Sets of rights, any of which allows a call."""

CASES: Final = [
    pytest.param(call, *form, id=f"{call}-{number}")
    for call, forms in FORMS.items()
    for number, form in enumerate(forms)
]


def status_of(answer: Request) -> int:
    """Return the status of an answer, or of the one in the answer to a batch."""
    if answer.status == 200 and answer.body.startswith(b'[{"status"'):
        return int(answer.json()[0]["status"])
    assert answer.status is not None
    return answer.status


@pytest.mark.parametrize(("call", "path", "body", "more"), CASES)
async def test_a_call_takes_its_right(
    served: App, call: str, path: str, body: object, more: dict[str, str]
) -> None:
    """With it the call is answered; with all others together it is refused."""
    # An `await` that is allowed comes to its end.
    await asked(served, f"/promises/{ID}/resolve", 0, token("settle"))
    for needed in NEEDED[call]:
        answer = await asked(served, path, body, token(*needed), **more)
        assert status_of(answer) in (200, 201), needed
    lacking = set(RIGHTS) - set().union(*NEEDED[call])
    if "list" in NEEDED[call][0]:
        others = [set(RIGHTS) - {"list"}, set(RIGHTS) - {"read"}]
    else:
        others = [lacking]
    for rights in others:
        answer = await asked(served, path, body, token(*rights), **more)
        assert 403 == status_of(answer), rights
        assert b"this token does not allow that" in answer.body


@pytest.mark.parametrize(("call", "path", "body", "more"), CASES)
@pytest.mark.parametrize(
    "other", [{"ids": ("order-1", "order-1*x", "Order-*", "rder*")}, {"id": "order-*"}]
)
async def test_a_right_is_for_its_promises(
    served: App,
    call: str,
    path: str,
    body: object,
    more: dict[str, str],
    other: dict[str, Any],
) -> None:
    """For another one the answer is the same, whether that exists or not."""
    everything = token(*RIGHTS, **other)
    before = await asked(served, path, body, everything, **more)
    await asked(served, f"/promises/{ID}/resolve", 0, token("settle"))
    after = await asked(served, path, body, everything, **more)
    assert (before.status, before.body) == (after.status, after.body)
    if call == "list":
        assert [] == after.json()["promises"]
    else:
        assert 403 == status_of(after)


async def test_a_list_has_what_its_token_is_for(served: App) -> None:
    """On every page, and its cursor leads nowhere else."""
    for id in ("a-1", "order-1", "b", "order-2", "order-*"):
        await asked(served, f"/promises/{id}/resolve", 0, token("settle", ids=("*",)))

    async def listed(**which: Any) -> list[str]:
        found: list[str] = []
        query = "limit=1"
        with anyio.fail_after(60):
            while True:
                answer = await asked(
                    served,
                    "/promises",
                    None,
                    token("list", "read", **which),
                    method="GET",
                    query=query,
                )
                page = answer.json()
                found += [info["promiseId"] for info in page["promises"]]
                if page["after"] is None:
                    return found
                query = f"limit=1&after={page['after']}"

    assert ["order-1", "order-2", "order-*"] == await listed(ids=("order-*",))
    assert ["a-1", "b"] == await listed(ids=("b", "a*"))
    assert ["order-2"] == await listed(id="order-2")
    # No pattern: there, it would be one.
    assert [] == await listed(id="order-*")


async def test_a_batch_is_refused_call_by_call(served: App) -> None:
    """What is allowed is done."""
    calls = [
        {"op": "resolve", "promiseId": "order-1", "value": 1},
        {"op": "resolve", "promiseId": "other", "value": 1},
        {"op": "dispose", "promiseId": "order-1"},
        {"op": "nonsense", "promiseId": "other"},
    ]
    answer = await asked(served, "/batch", calls, token("settle"))
    assert [200, 403, 403, 404] == [one["status"] for one in answer.json()]
    seen = await asked(served, "/promise/peek", {"promiseId": "other"}, everything())
    assert b"null" == seen.body


def everything() -> str:
    """Return a token for all."""
    return token(*RIGHTS, ids=("*",))


async def test_a_watch_is_refused_whole(served: App) -> None:
    """One promise that the token is not for, and nothing is said about any."""
    body = {"promiseIds": ["order-1", "other"]}
    await asked(served, "/promises/order-1/resolve", 0, token("settle"))
    answer = await asked(served, "/watch", body, token("list", "read"))
    assert 403 == answer.status
    assert b"order-1" not in answer.body


async def test_who_settles_is_who_the_token_names(served: App) -> None:
    """What the caller says counts where the token names nobody."""

    async def by(id: str, name: str | None) -> Any:
        body = {"promiseId": id, "value": 1, "by": "mallory"}
        await asked(served, "/promise/resolve", body, token("settle", name=name))
        info = await asked(served, f"/promises/{id}", None, everything(), method="GET")
        return info.json()["settledBy"]

    assert "alice" == await by("order-1", "alice")
    assert "mallory" == await by("order-2", None)


async def test_the_servers_token_allows_everything() -> None:
    """With a secret beside it as well; and who names somebody is believed."""
    both = app(
        connect(f"memory:{uuid4()}").backend,
        Settings(token="all-rights", secrets=(SECRET,)),  # noqa: S106 - of this test
    )
    body = {"promiseId": "x", "value": 1, "by": "alice"}
    for one in ("all-rights", everything()):
        answer = await asked(both, "/promise/resolve", body, one)
        assert 200 == answer.status
    assert 401 == (await ask(both, "/promise/resolve", body)).status


def test_what_is_not_in_the_table_is_not_allowed() -> None:
    """A call of a kind that was forgotten there is refused, whatever the rights."""
    rights = Access(frozenset(RIGHTS), ("*",))

    class Forgotten:
        """A call that the table does not have."""

    with pytest.raises(Exception, match="does not allow that"):
        _permitted.permitted(rights, Forgotten())
    kinds = {*_permitted._OF_ONE, *_permitted._OF_SEVERAL}
    assert set(Call.__args__) == kinds


async def test_a_refusal_costs_the_store_nothing(served: App) -> None:
    """It is not asked."""
    backend = served._backend
    await backend.settle("other", Resolved(b"1"))
    await backend.aclose()
    answer = await asked(served, "/promise/peek", {"promiseId": "other"}, token("read"))
    assert 403 == answer.status
    assert "other" not in json.dumps(answer.json())


def test_deadlines_of_tokens_are_rounded_up() -> None:
    """A token is good until the moment it was made for."""
    written = write_access(
        Access(frozenset({"read"}), ("*",)),
        datetime.now(UTC) + timedelta(milliseconds=1),
        [SECRET],
    )
    assert written
