"""`in_thread`: a worker thread, where there can be one; `in_thread_apart`: another."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from anyio import to_thread

import dp_core as dp
from dp_core.backend import in_thread, in_thread_apart
from support.http import Server


async def test_it_runs_in_another_thread() -> None:
    """The event loop goes on meanwhile."""
    assert threading.get_ident() != await in_thread(threading.get_ident)


async def test_without_threads_it_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel refuses a thread, the call is made in the one that asks."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr("trio._core._thread_cache.THREAD_CACHE._idle_workers", {})

    assert threading.get_ident() == await in_thread(threading.get_ident)


async def test_its_own_errors_are_raised_once() -> None:
    """A RuntimeError of the function itself is not taken for a missing thread."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise RuntimeError("can't start new thread")

    with pytest.raises(RuntimeError):
        await in_thread(fail)
    assert [1] == calls


async def test_what_has_begun_is_not_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the thread is lost that runs it, the call may have happened: an error."""
    calls = []

    async def lose(call: Callable[[], None], limiter: object) -> None:
        call()
        raise RuntimeError("the loop was closed")

    monkeypatch.setattr(to_thread, "run_sync", lose)

    with pytest.raises(RuntimeError, match="closed"):
        await in_thread(calls.append, 1)
    assert [1] == calls


async def test_apart_it_returns_or_raises_what_the_function_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a thread of its own; from this one, where there can be no other."""
    here = threading.get_ident()
    assert here != await in_thread_apart(threading.get_ident)
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread_apart(int, "x")

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert here == await in_thread_apart(threading.get_ident)


GONE = """
import socket, sys, threading
import anyio
from dp_core.backend import in_thread_apart
from dp_core.server._callbacks import _sending
from dp_core.testing.wire._raw_client import RawClient

def never(*_, **__):
    has_begun.set()
    threading.Event().wait()

async def ask(call):
    has_begun.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        while not has_begun.is_set():
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()

async def main():
    socket.getaddrinfo = never
    await ask(lambda: in_thread_apart(never))
    await ask(lambda: _sending._NameLookup().addresses("a.test", 80))
    RawClient._ask = never
    await ask(lambda: RawClient("http://a.test", {}).ask("GET", "/", None, None, 60))
    print("left")

has_begun = threading.Event()
anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_what_never_answers_holds_nobody_up(loop: str) -> None:
    """Apart, a question is left when its caller is, also by the process at its end."""
    done = subprocess.run(
        [sys.executable, "-c", GONE, loop],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )

    assert (0, "left\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("store", ["file", "address", "name"])
def test_the_last_word_of_a_process_is_heard(
    tmp_path: Path, loop: str, store: str, *, used: bool
) -> None:
    """What atexit runs can settle and read, whether the store was used before."""
    with Server.elsewhere() as server:
        url = {
            "file": f"file:{tmp_path}/p",
            "address": server.url,
            "name": server.url.replace("127.0.0.1", "localhost"),
        }[store]
        done = _last_word(url, loop, used=used)

    assert ("Resolved(value='bye') bye\n", "") == (done.stdout, done.stderr)


def _last_word(url: str, loop: str, *, used: bool) -> subprocess.CompletedProcess[str]:
    script = (
        "import atexit, anyio, dp_core as dp\n"
        f"promise = dp.durable_promise('id', {url!r})\n"
        "async def last():\n"
        "    await promise.resolve('bye')\n"
        "    print(await promise.peek(), await promise.get())\n"
        f"other = dp.durable_promise('other', {url!r})\n"
        f"{used} and anyio.run(other.resolve, 1, backend='{loop}')\n"
        f"atexit.register(anyio.run, last, backend='{loop}')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, text=True
    )


def test_it_is_public() -> None:
    """Backends of other packages have it, too."""
    assert dp.backend.in_thread is in_thread
