"""What a handle refuses, what it is equal to, and how it is shown."""

from __future__ import annotations

import copy
import math
import pickle
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

import pytest

import dp_core as dp
import dp_core.sync
from dp_backends.memory import MemoryBackend


@pytest.mark.parametrize("timeout", [-1, -0.5, math.nan, "5", True, 1j, [], b"1"])
async def test_a_timeout_is_a_length_of_time(timeout: Any) -> None:
    """Anything else is one of our errors, and also a ValueError."""
    promise = dp.connect("memory:").promise("x")

    with pytest.raises(dp.InvalidTimeoutError) as caught:
        await promise.get(timeout=timeout)

    assert "is not a valid timeout: write a number of seconds" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("timeout", [Decimal("0.01"), Fraction(1, 100), 0])
async def test_a_timeout_may_be_any_number(timeout: Any) -> None:
    """The error has it as the seconds it is, in words that can be read."""
    promise = dp.connect("memory:").promise(token_hex(4))
    for wait in (promise.get, partial(dp.gather, promise)):
        with pytest.raises(dp.PromiseTimeoutError, match=r"pending after 0(\.01)? s;"):
            await wait(timeout=timeout)


async def test_a_timeout_may_be_endless() -> None:
    """Infinity is as long as it takes."""
    promise = dp.connect("memory:").promise("endless")
    await promise.resolve(1)

    assert 1 == await promise.get(timeout=math.inf)


@pytest.mark.parametrize("state", [dp.Pending(), dp.Resolved(1), dp.Rejected("")])
def test_a_state_has_no_truth(state: dp.State[int]) -> None:
    """``if await promise.peek():`` is refused, with both right forms in the text."""
    for ask in (bool, lambda state: not state, lambda state: 1 if state else 2):
        with pytest.raises(TypeError) as caught:
            ask(state)
        assert "not isinstance(state, dp_core.Pending)" in str(caught.value)
        assert "match state: case dp_core.Resolved(value)" in str(caught.value)


def test_a_rejection_names_its_promise_in_a_traceback() -> None:
    """The text is the message alone; the note beside it has the id."""
    error = dp.PromiseRejectedError("Oh dear", "order-17\n")
    shown = "".join(traceback.format_exception(error))

    assert "Oh dear" == str(error)
    assert "promise 'order-17\\n' was rejected" in shown
    assert not hasattr(dp.PromiseRejectedError("Oh dear"), "__notes__")


def test_handles_are_equal_where_store_and_id_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's normal form counts; type, limit and the spelling of a URL do not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    urls = ["file:store", "file:./store/", f"file://{tmp_path}/store", "file:link"]
    handles = {dp.connect(url, max_value_bytes=9).promise("x", int) for url in urls}
    handles |= {dp.connect(url).promise("x") for url in (*urls, tmp_path / "store")}

    assert 1 == len(handles)
    assert {dp.connect("file:store")} == {dp.connect("file:link")}
    assert dp.connect("file:store").promise("y") not in handles
    assert dp.connect("file:other").promise("x") not in handles
    assert dp.connect("http://HOST:80?retry=3") == dp.connect("http://host")
    assert dp.connect("memory:a") != dp.connect("memory:b")
    assert dp.connect("memory:a") != "memory:a"
    assert dp.connect("memory:a").promise("x") != "x"


ROOMS: dict[str, Any] = {"async": dp, "blocking": dp_core.sync}
URLS = ["memory:", "file:s", "sqlite:s.db", "http://127.0.0.1:1", "postgresql://h/d"]
HANDLES: dict[str, Callable[[Any, Any], object]] = {
    "promises": lambda room, promises: promises,
    "promise": lambda room, promises: promises.promise("x", list[int]),
    "list": lambda room, promises: promises.list(),
    "as_settled": lambda room, promises: room.as_settled([promises.promise("x")]),
}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("handle", HANDLES)
def test_a_handle_stays_in_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handle: str, room: str, url: str
) -> None:
    """Who pickles it, as multiprocessing does, or copies it, learns what to send."""
    monkeypatch.chdir(tmp_path)
    made = HANDLES[handle](ROOMS[room], ROOMS[room].connect(url))

    for give in (pickle.dumps, ForkingPickler.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match=r"send the URL .* and the id") as caught:
            give(made)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("room", ROOMS)
def test_a_shallow_copy_is_another_handle(room: str) -> None:
    """It is on the same store, and promise."""
    promises = ROOMS[room].connect("memory:copied")
    for handle in (promises, promises.promise("x")):
        copied = copy.copy(handle)
        assert copied == handle
        assert copied is not handle
        assert copied.url == handle.url


async def test_the_short_way_means_the_store_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After chdir, another DP_URL, another HOME or link, it is another store."""

    def here(name: str) -> None:
        monkeypatch.chdir(tmp_path / name)

    def home(name: str) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / name))

    def variable(name: str) -> None:
        monkeypatch.setenv("DP_URL", f"file:{tmp_path}/{name}/p")

    def link(name: str) -> None:
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / name)

    monkeypatch.delenv("DP_URL", raising=False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    cases = [
        (here, None),
        (here, "file:q"),
        (here, Path("r")),
        (home, "file:~/s"),
        (here, "sqlite:u.db"),
        (home, "sqlite:~/v.db"),
        (variable, None),
        (link, f"file:{tmp_path}/link/t"),
    ]
    for number, (change, url) in enumerate(cases):
        found = []
        for name in ("a", "b"):
            change(name)
            promise = dp.durable_promise(f"x{number}", url)
            found.append((await promise.peek(), promise))
            await promise.resolve(name)
        change("a")
        again = dp.durable_promise(f"x{number}", url)

        assert [dp.Pending(), dp.Pending()] == [state for state, _ in found], number
        assert dp.Resolved("a") == await again.peek()
        assert again._backend is found[0][1]._backend
        assert [dp.Resolved("a"), dp.Resolved("b")] == [
            await promise.peek() for _, promise in found
        ]


@pytest.mark.parametrize(
    "open_",
    [dp.connect, dp_core.sync.connect, lambda url: dp.durable_promise("x", url)],
    ids=["async", "blocking", "short"],
)
def test_an_empty_url_is_no_store(
    open_: Callable[[str | None], object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It is not the default; the error says what to do. An empty variable is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DP_URL", "memory:")
    with pytest.raises(
        dp.UnknownBackendError, match=r"'': it is empty .* leave it out"
    ):
        open_("")
    monkeypatch.setenv("DP_URL", "")
    open_(None)
    assert dp.DEFAULT_URL == dp.default_url()


@pytest.mark.parametrize("path", ["~", "a b", "x%41", "#?", "ü", "file:x", "~/y"])
def test_a_path_is_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A `pathlib.Path` names that directory, whatever characters are in it."""
    monkeypatch.chdir(tmp_path)

    for given in (Path(path), tmp_path / path):
        backend: Any = dp.connect(given).backend
        assert str(tmp_path / path) == backend.directory
    with pytest.raises(dp.UnknownBackendError):
        dp.connect(cast("Any", 5))


class Awkward:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def recursive() -> list[Any]:
    """Return a list that contains itself."""
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    "thing",
    [
        10**5000,
        Awkward(),
        recursive(),
        "\ud800",
        {Awkward(): 1},
        [10**5000],
        {10**5000: 1},
    ],
    ids=["digits", "awkward", "recursive", "surrogate", "key", "inside", "big key"],
)
async def test_displays_and_errors_never_raise(thing: Any) -> None:
    """What cannot be shown is refused, shown or named, and raises nothing else."""
    promise = dp.connect("memory:").promise(f"display {token_hex(4)}")
    for operation in (promise.resolve, promise.reject):
        result: object
        try:
            result = await operation(thing)
        except dp.DurablePromiseError as error:
            result = error
        assert str(result)
        assert repr(result)
    for state in (dp.Resolved(thing), dp.Rejected(thing), dp.Pending()):
        assert repr(state).startswith(type(state).__name__)
    for make in (dp.connect, promise.get, dp.connect("memory:").promise):
        with suppress(dp.DurablePromiseError):
            made = make(thing)
            if isinstance(made, Awaitable):
                await made


async def test_a_link_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are signed by a package that comes with the extra of the server."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    for name in [name for name in sys.modules if name.startswith("dp_core._access")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(dp, "_access", raising=False)

    with pytest.raises(ModuleNotFoundError, match=r"links need: .*\[server\]"):
        await dp.connect("memory:").link("x", expires=timedelta(days=1))


async def test_what_is_not_an_outcome_is_the_fault_of_the_backend() -> None:
    """It is shown, and whoever wrote the backend sees a TypeError at once."""

    class Wrong(MemoryBackend):
        async def peek(self, id: str) -> Any:
            return "resolved"

    promises = dp.Promises(Wrong("memory:wrong"), "memory:wrong")

    with pytest.raises(TypeError, match="a backend returned 'resolved'"):
        await promises.promise("x").peek()
