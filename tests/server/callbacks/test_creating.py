"""Creates with callbacks: what they leave, wherever they end, and who may ask."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

import dp_core as dp
from dp_core import _outbox
from dp_core._outbox import create_with_callbacks, terms_of_delivery
from dp_core.server import App, Settings, app
from dp_core.testing import DeadlineClock
from support.server.asgi_driver import Request, ask
from support.server.calling import SECRET, calling, deliveries, until
from support.server.receivers import receiving

TOKEN = "the-token-of-all-rights-of-these-tests"  # noqa: S105 - of tests
URL = "https://hooks.example.com/a?b=c"
OTHER = "https://hooks.example.com/other"

pytestmark = pytest.mark.usefixtures("at_once")


class Died(Exception):  # noqa: N818 - it did
    """The creator."""


class Dying:
    """A registry whose user dies before or after one of its calls that change it."""

    def __init__(self, backend: Any, dies_at: int, *, after: bool) -> None:
        self._backend = backend
        self._left = dies_at
        self._after = after
        self.info = backend.info
        self.list = backend.list
        self.sweep = backend.sweep

    async def create(self, id: str, terms: dp.Terms[bytes]) -> dp.Terms[bytes]:
        if not self._left and not self._after:
            raise Died
        stands: dp.Terms[bytes] = await self._backend.create(id, terms)
        if not self._left:
            raise Died
        self._left -= 1
        return stands


# What stands ------------------------------------------------------------------------


async def test_terms_name_their_deliveries(url: str) -> None:
    """Whoever asks is told the URLs, and the promises that keep what became of them."""
    async with dp.connect(url) as promises:
        made = await promises.create("a", notify=[URL, OTHER, URL], tags={"x": "y"})
        info = await promises.promise("a").info()
        found = {each.id: each for each in await deliveries(promises)}

    assert made.terms == info.terms
    assert info.terms is not None
    assert [URL, OTHER] == [each.url for each in info.terms.notify]
    assert {each.delivery for each in info.terms.notify} == set(found)
    for each in info.terms.notify:
        delivery = found[str(each.delivery)]
        assert dp.Pending() == delivery.state
        assert delivery.terms is not None
        assert {"of": "a", "to": each.url} == delivery.terms.data
        assert {"dp.kind": "delivery", "dp.of": "a", "dp.to": each.url} == (
            delivery.terms.tags
        )


async def test_long_names_are_tags_by_their_hashes(url: str) -> None:
    """Ids and URLs may be longer than tags, and have deliveries all the same."""
    long = "ä" * 500
    with receiving() as receiver:
        async with calling(url) as calls:
            promise = await calls.promises.create(
                long, notify=[f"{receiver.url}?{'x' * 1000}"]
            )
            await promise.resolve(1)

            assert long == (await calls.next(receiver)).json()["promiseId"]


async def test_repeating_a_create_changes_nothing(url: str) -> None:
    """The deliveries of the first stand, and no others are left."""
    async with dp.connect(url) as promises:
        first = await promises.create("a", notify=[URL])
        again = await promises.create("a", notify=[URL, OTHER])
        equal = await promises.create("a", notify=[URL], exist_ok=False)
        with pytest.raises(dp.PromiseExistsError):
            await promises.create("a", notify=[OTHER], exist_ok=False)
        with pytest.raises(dp.PromiseExistsError):
            await promises.create("a", exist_ok=False)
        (delivery,) = await deliveries(promises)

    for promise in (first, again, equal):
        assert promise.terms is not None
        assert [delivery.id] == [each.delivery for each in promise.terms.notify]


async def test_a_create_that_loses_ends_its_deliveries(url: str) -> None:
    """Who is overtaken after it has minted them rejects its own, and no others."""
    async with dp.connect(url) as promises:
        backend: Any = promises.backend

        class Overtaken(Dying):
            async def create(self, id: str, terms: Any) -> Any:
                if id == "a":
                    await promises.create("a", notify=[OTHER])
                return await backend.create(id, terms)

        asked: dp.Terms[bytes] = dp.Terms(notify=(dp.Callback(URL),))
        stands = await create_with_callbacks(
            backend, Overtaken(backend, 9, after=True), "a", asked
        )
        states = {
            each.terms.tags["dp.to"]: each.state
            for each in await deliveries(promises)
            if each.terms
        }

    assert [OTHER] == [each.url for each in stands.notify]
    assert {URL: dp.Rejected("not asked for"), OTHER: dp.Pending()} == states


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [0, 1, 2])
async def test_a_creator_may_die_between_any_two_steps(
    url: str, step: int, after: bool
) -> None:
    """A promise that is there is told to both; else nobody is, and nothing stays."""
    with receiving() as receiver, DeadlineClock() as clock:
        async with calling(url) as calls:
            backend: Any = calls.promises.backend
            urls = [f"{receiver.url}/1", f"{receiver.url}/2"]
            asked: dp.Terms[bytes] = dp.Terms(notify=tuple(map(dp.Callback, urls)))
            dying = Dying(backend, step, after=after)
            with pytest.raises(Died):
                await create_with_callbacks(backend, dying, "a", asked)
            is_there = (await backend.info("a")).terms is not None
            left = await deliveries(calls.promises)
            await until(lambda: len(left) == calls.callbacks.pending)
            await calls.promises.promise("a").resolve(1)
            told = {(await calls.next(receiver)).path for _ in urls if is_there}
            clock.advance(timedelta(hours=2))
            outcomes = await calls.finished("a")

        assert is_there == (after and step == 2)
        assert told == ({"/hook/1", "/hook/2"} if is_there else set())
        assert len(outcomes) == min(step + after, 2)
        if not is_there:
            assert outcomes == [dp.Rejected("not asked for")] * len(outcomes)
        assert receiver.received.empty()


async def test_a_creator_that_slept_renews_its_deliveries(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that was suspended for hours in the middle tells all the same."""
    with receiving() as receiver, DeadlineClock() as clock:
        async with calling(url) as calls:
            backend: Any = calls.promises.backend

            class Sleeping(Dying):
                async def create(self, id: str, terms: Any) -> Any:
                    if id == "a":
                        await until(lambda: calls.callbacks.pending)
                        clock.advance(timedelta(hours=2))
                        (outcome,) = await calls.finished("a")
                        assert dp.Rejected("not asked for") == outcome
                    return await backend.create(id, terms)

            asked: dp.Terms[bytes] = dp.Terms(notify=(dp.Callback(receiver.url),))
            await create_with_callbacks(
                backend, Sleeping(backend, 9, after=True), "a", asked
            )
            await calls.promises.promise("a").resolve(1)

            assert 1 == (await calls.next(receiver)).json()["value"]


async def test_a_store_that_drops_callbacks_is_told(memory: str) -> None:
    """A backend that knows no callbacks is an error, not a promise to tell somebody."""
    async with dp.connect(memory) as promises:
        backend: Any = promises.backend

        class Forgetful(Dying):
            async def create(self, id: str, terms: dp.Terms[bytes]) -> Any:
                kept: dp.Terms[bytes] = dp.Terms(tags=terms.tags, data=terms.data)
                return await backend.create(id, kept)

        asked: dp.Terms[bytes] = dp.Terms(notify=(dp.Callback(URL),))
        with pytest.raises(dp.NotSupportedError, match="keeps no callbacks"):
            await create_with_callbacks(
                backend, Forgetful(backend, 9, after=True), "a", asked
            )
        (delivery,) = await deliveries(promises)

    assert dp.Rejected("not asked for") == delivery.state


def test_terms_with_other_callbacks_are_refused() -> None:
    """Whoever makes terms is told what is wrong with them."""
    many = tuple(dp.Callback(f"{URL}{n}") for n in range(11))
    with pytest.raises(dp.InvalidTermsError, match="notify"):
        dp.Callback("nonsense")
    with pytest.raises(dp.InvalidTermsError, match="notify"):
        dp.Terms(notify=(URL,))  # type: ignore[arg-type] # who uses no type checker
    with pytest.raises(dp.InvalidTermsError, match="11 URLs to notify"):
        dp.Terms(notify=many)


# Lists, and disposal ------------------------------------------------------------------


async def test_lists_leave_deliveries_out(url: str) -> None:
    """Only who asks by a tag of the library's own is told of them."""
    async with dp.connect(url) as promises:
        await promises.create("a", notify=[URL], tags={"x": "y"})
        await promises.promise("b").resolve(1)

        assert ["a", "b"] == [info.id async for info in promises.list()]
        assert ["a"] == [info.id async for info in promises.list(state="pending")]
        (delivery,) = [
            info async for info in promises.list(tags={"dp.of": "a"}, state="pending")
        ]
        assert 1 == await promises.prune(settled_before=timedelta(0))
        await promises.promise(delivery.id).reject("not wanted")
        count = await promises.prune(
            settled_before=timedelta(0), tags={"dp.kind": "delivery"}
        )
        assert 1 == count


async def test_disposal_is_not_undone_by_who_comes_late(url: str) -> None:
    """Nothing is left where a delivery ends that was disposed of meanwhile."""
    async with dp.connect(url) as promises:
        backend: Any = promises.backend
        await backend.create("d", terms_of_delivery("a", URL))
        await backend.dispose("d")

        assert None is await _outbox.end_delivery(
            backend, backend, "d", dp.Resolved(b"1")
        )

        class Late(Dying):
            async def info(self, id: str) -> Any:
                info = await backend.info(id)
                await backend.dispose(id)
                return info

        await backend.create("d", terms_of_delivery("a", URL))
        late = Late.__new__(Late)
        late.__init__(backend, 9, after=True)  # type: ignore[misc] # its info is ours
        late.__dict__.pop("info")
        assert None is await _outbox.end_delivery(backend, late, "d", dp.Resolved(b"1"))
        assert dp.PromiseInfo("d", dp.Pending()) == await backend.info("d")


# The wire -----------------------------------------------------------------------------


@pytest.fixture
def served(memory: str) -> App:
    """Return an app that makes callbacks to one host."""
    return app(
        dp.connect(memory).backend,
        Settings(secrets=(SECRET,), notify_allow=("hooks.example.com",), token=TOKEN),
    )


async def asked(app: App, path: str, body: object = None, **more: Any) -> Request:
    """Make a request with the token of the server."""
    return await ask(
        app,
        path,
        body,
        headers=[(b"authorization", b"Bearer " + TOKEN.encode())],
        **more,
    )


async def test_the_server_makes_deliveries(served: App) -> None:
    """A client sends URLs, and is told what stands."""
    body = {"promiseId": "a", "notify": [URL]}
    first = await asked(served, "/promise/create", body)
    again = await asked(served, "/promise/create", body)
    info = await asked(served, "/promises/a", method="GET")

    assert (201, 200, 200) == (first.status, again.status, info.status)
    assert [URL] == first.json()["notify"]
    assert first.json()["notify"] == again.json()["notify"] == info.json()["notify"]
    listed = await asked(served, "/promises", method="GET")
    assert ["a"] == [each["promiseId"] for each in listed.json()["promises"]]
    query = "tag=dp.kind:delivery"
    listed = await asked(served, "/promises", method="GET", query=query)
    (delivery,) = listed.json()["promises"]
    assert delivery["promiseId"].startswith("dp_delivery_")
    assert URL == delivery["data"]["to"]


async def test_a_batch_makes_deliveries_too(served: App) -> None:
    """A create in a batch does, and is refused, as it would be alone."""
    answer = await asked(
        served,
        "/batch",
        [
            {"op": "create", "promiseId": "a", "notify": [URL]},
            {"op": "create", "promiseId": "b", "notify": ["http://127.0.0.1/"]},
            {"op": "create", "promiseId": "c", "tags": {"dp.kind": "delivery"}},
            {"op": "dispose", "promiseId": "a"},
        ],
    )
    one, host, tag, disposed = answer.json()
    query = "tag=dp.of:a"
    listed = await asked(served, "/promises", method="GET", query=query)
    (delivery,) = listed.json()["promises"]

    assert [201, 422, 422, 200] == [
        each["status"] for each in (one, host, tag, disposed)
    ]
    assert "--notify-allow" in host["body"]["message"]
    assert "its promise was disposed of" == delivery["error"]


@pytest.mark.parametrize(
    ("notify", "why"),
    [
        ("https://hooks.example.com", "array of URLs"),
        ({"url": URL}, "array of URLs"),
        ([1], "array of URLs"),
        ([["x"]], "array of URLs"),
        ([{"url": URL, "delivery": "mine"}], "array of URLs"),
        ([{"url": URL, "delivery": 1}], "array of URLs"),
        (["https://user:secret@hooks.example.com"], "user or password"),
        (["https://hooks.example.com/#x"], "fragment"),
        (["https://hooks.example.com/\n"], "character"),
        (["https://other.example.com/"], "--notify-allow"),
        (["http://127.0.0.1/"], "--notify-allow"),
        (["http://2130706433/"], "valid address"),
        ([f"{URL}{n}" for n in range(11)], "limit"),
    ],
)
async def test_what_will_not_be_called_is_refused(
    served: App, notify: object, why: str
) -> None:
    """It is said at once, with what to do, and nothing is made."""
    body = {"promiseId": "a", "notify": notify}
    answer = await asked(served, "/promise/create", body)
    info = await asked(served, "/promises/a", method="GET")
    query = "tag=dp.kind:delivery"
    listed = await asked(served, "/promises", method="GET", query=query)

    assert 422 == answer.status
    assert why in answer.json()["message"]
    assert None is info.json()["createdAt"]
    assert [] == listed.json()["promises"]


async def test_without_a_secret_it_is_refused(memory: str) -> None:
    """A server that cannot sign takes no callbacks."""
    unsigned = app(dp.connect(memory).backend, Settings(notify_allow=("*",)))

    answer = await ask(unsigned, "/promise/create", {"promiseId": "a", "notify": [URL]})

    assert 422 == answer.status
    assert "--secret-file" in answer.json()["message"]


async def test_no_hosts_are_allowed_unless_they_are_named(memory: str) -> None:
    """A server that was told no hosts calls nobody."""
    silent = app(dp.connect(memory).backend, Settings(secrets=(SECRET,), token=TOKEN))

    answer = await asked(silent, "/promise/create", {"promiseId": "a", "notify": [URL]})

    assert 422 == answer.status
    assert "--notify-allow" in answer.json()["message"]


def test_a_misspelt_host_is_told_at_the_start(memory: str) -> None:
    """The server does not start with a host that is none."""
    with pytest.raises(dp.AccessDeniedError, match="not a valid host"):
        app(dp.connect(memory).backend, Settings(notify_allow=("https://x.org",)))


def test_old_terms_are_as_they_were() -> None:
    """Without callbacks, no store gets other bytes than before."""
    from dp_core.wire import write_terms  # noqa: PLC0415 - beside what it shows

    assert {"deadline", "otherwise", "tags", "data"} == set(
        json.loads(write_terms(dp.Terms(tags={"a": "b"})))
    )
