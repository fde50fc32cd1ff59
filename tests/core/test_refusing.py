"""What it costs to refuse, and to take what is large: measured before the work."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
    _read,
    _write,
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
    "thread": partial(in_thread, check_text),
    "handle": lambda text: connect("memory:").promise("i").resolve(text),
}


@pytest.mark.parametrize("case", REFUSED_TEXTS)
@pytest.mark.parametrize("door", DOORS)
async def test_to_refuse_costs_no_memory_that_stays(case: str, door: str) -> None:
    """An error that was caught is gone, with what it refused, without a collection."""
    form = REFUSED_TEXTS[case]
    body = b"x" * 900_000
    text = form % ((body,) * form.count(b"%b"))

    async def refuse() -> None:
        with suppress(DurablePromiseError):
            result = DOORS[door](bytes(bytearray(text)))
            if isinstance(result, Awaitable):
                await result

    await refuse()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            await refuse()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()

    # A worker thread holds its last call until the next one.
    assert after - before < 2 * len(text)


@pytest.mark.parametrize("type_", [Any, int, float, str, list[int]])
async def test_long_numbers_are_read_off_the_event_loop(
    type_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits that take long are made and read in another thread."""
    here = threading.get_ident()
    seen: set[int] = set()
    for module, name in ((_read, "int_from_text"), (_write, "int_to_text")):
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
