"""What it costs to refuse, and to take what is large: measured before the work."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from secrets import token_hex
from typing import Any

import pytest

from dp_core import (
    DurablePromiseError,
    InvalidValueError,
    Resolved,
    ValueMismatchError,
    connect,
)
from dp_core.backend import in_thread
from dp_core.values import (
    _read_json,
    _write_json,
    check_message,
    check_text,
    decode,
    encode,
    split_object,
)
from dp_core.values._bigints import int_from_text
from dp_core.wire import read_call

# What it costs to refuse ------------------------------------------------------


def test_what_is_too_long_is_refused_before_the_work() -> None:
    """Text is measured while it is made, so memory is bounded by the limit."""
    huge = "x" * (64 << 20)
    once: list[Any] = ["x" * 60_000]
    for _ in range(100):
        once = [once, once]  # As JSON, it has 2**100 items.
    values = [huge, [huge], {"a": huge}, {huge: 1}, [huge] * 50, once, 1 << 30_000_000]
    for value in values:
        tracemalloc.start()
        with pytest.raises(InvalidValueError, match="over the limit of 1,048,576"):
            encode(value)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64 << 20
    with pytest.raises(InvalidValueError, match="over the limit"):
        check_message(huge)


REFUSED_TEXTS = {
    "twice": b'{"a":"%b","a":1}',
    "not JSON": b'["%b"',
    "surrogate": b'["%b","\\ud800"]',
    "too long": b'["%b%b"]',
    "not UTF-8": b'["%b\xff"]',
    "NaN": b'["%b",NaN]',
    "deep": b'["%b",' + b"[" * 200 + b"]" * 200 + b"]",
}


DOORS: dict[str, Callable[[bytes], object]] = {
    "check": check_text,
    "decode": decode,
    "split": split_object,
    "call by path": partial(read_call, "/promises/id/resolve"),
    "call": partial(read_call, "/promise/resolve"),
    "text": lambda text: encode(text.decode(errors="replace") + "\udc00"),
    "place": lambda text: encode({"a": [text.decode(errors="replace"), {1: 2}]}),
}

ASYNC_DOORS: dict[str, Callable[[bytes], Awaitable[object]]] = {
    "thread": partial(in_thread, check_text),
    "handle": lambda text: connect("memory:").promise("i").resolve(text),
}


def refused_text(case: str) -> bytes:
    """Return a text that is refused, and large."""
    form = REFUSED_TEXTS[case]
    body = b"x" * (600_000 if case == "too long" else 200_000)
    return form % ((body,) * form.count(b"%b"))


@contextmanager
def keeping_less_than(size: int) -> Iterator[None]:
    """Check that no more memory stays, without a collection."""
    gc.disable()
    tracemalloc.start()
    try:
        yield
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after < size


@pytest.mark.parametrize("case", REFUSED_TEXTS)
@pytest.mark.parametrize("door", DOORS)
def test_to_refuse_costs_no_memory_that_stays(case: str, door: str) -> None:
    """An error that was caught is gone, with what it refused, without a collection."""
    text = refused_text(case)

    def refuse() -> None:
        with suppress(DurablePromiseError):
            DOORS[door](bytes(bytearray(text)))

    refuse()
    with keeping_less_than(2 * len(text)):
        for _ in range(5):
            refuse()


@pytest.mark.parametrize("case", REFUSED_TEXTS)
@pytest.mark.parametrize("door", ASYNC_DOORS)
async def test_to_refuse_while_others_run_costs_no_memory_that_stays(
    case: str, door: str
) -> None:
    """The same where an event loop and its threads see the error first."""
    text = refused_text(case)

    async def refuse() -> None:
        with suppress(DurablePromiseError):
            await ASYNC_DOORS[door](bytes(bytearray(text)))

    await refuse()
    # A worker thread holds its last call until the next one.
    with keeping_less_than(2 * len(text)):
        for _ in range(5):
            await refuse()


@pytest.mark.parametrize("type_", [Any, int, float, str, list[int]])
async def test_long_numbers_are_read_off_the_event_loop(
    type_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits that take long are made and read in another thread."""
    here = threading.get_ident()
    seen: set[int] = set()
    for module, name in ((_read_json, "int_from_text"), (_write_json, "int_to_text")):
        real = getattr(module, name)

        def watched(argument: Any, real: Any = real) -> Any:
            seen.add(threading.get_ident())
            return real(argument)

        monkeypatch.setattr(module, name, watched)
    promise = connect("memory:").promise(f"long {token_hex(8)}", type_)
    digits = b"7" * 30_000
    text = b"[%b]" % digits if type_ == list[int] else digits
    with suppress(ValueMismatchError):
        await connect("memory:").backend.settle(promise.id, Resolved(text))
        await promise.peek()
        await promise.get()
    with suppress(ValueMismatchError):
        await promise.resolve(int_from_text(digits.decode()))

    assert here not in seen
    assert seen or type_ in {float, str}
