"""Forks, pools, and the end of a program: processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

FORK: Final = """
import os, sys, threading
import dp_core.sync as dp

store = dp.connect(sys.argv[1])
busy = sys.argv[2] == "busy"
own = os.urandom(8).hex()


class promises:
    promise = lambda id: store.promise(own + id)


promises.promise("a").resolve("parent")
try:
    promises.promise("never").get(0.5)
except dp.PromiseTimeoutError:
    pass
if busy:
    threading.Thread(target=promises.promise("never").get, daemon=True).start()
    while not any(thread.name == "dp-sync" for thread in threading.enumerate()):
        pass
else:
    settled = dp.as_settled([promises.promise("a"), promises.promise("in child")])
    settled.__enter__()
    next(settled)
child = os.fork()
if not child:
    code = 1
    try:
        seen = promises.promise("a").peek()
        if sys.argv[1] != "memory:":
            assert seen == dp.Resolved("parent"), seen
        later = threading.Timer(0.1, promises.promise("in child").resolve, ["child"])
        later.start()
        assert promises.promise("in child").get() == "child"
        if not busy:
            assert next(settled)[1] == dp.Resolved("child")
        later.join()
        code = 0
    finally:
        os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
if sys.argv[1] != "memory:":
    assert promises.promise("in child").get() == "child"
if not busy:
    promises.promise("in child").resolve("parent")
    next(settled)
    settled.__exit__(None, None, None)
assert promises.promise("b").resolve("parent") == dp.Resolved("parent")
print("whole")
"""

POOL: Final = """
import concurrent.futures, multiprocessing, os, sys
import dp_core.sync as dp


def settle(url, own, number):
    promise = dp.durable_promise(f"{own}{number}", url)
    return promise.resolve(number), dp.durable_promise(f"{own}go", url).get()


if __name__ == "__main__":
    _, url, method = sys.argv
    promises = dp.connect(url)
    own = os.urandom(8).hex()
    go = promises.promise(f"{own}go")
    go.peek()
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        done = [pool.submit(settle, url, own, number) for number in range(2)]
        numbers = [promises.promise(f"{own}{n}") for n in range(2)]
        assert dp.gather(*numbers) == [0, 1]
        go.resolve("gone")
        told = [(dp.Resolved(n), "gone") for n in range(2)]
        assert told == [one.result() for one in done]
    print("whole")
"""

EXIT: Final = """
import atexit, os, sys, threading

_, url, order, used = sys.argv
own = os.urandom(8).hex()


def last():
    with dp.connect(url) as promises:
        work(promises)
    print("whole")


def work(promises):
    promise = promises.promise(f"{own} last word")
    assert promise.resolve("bye") == dp.Resolved("bye")
    assert promise.get() == "bye"
    assert promises.promise(f"{own} another").peek() == dp.Pending()
    try:
        promises.promise(f"{own} another").get(0.5)
    except dp.PromiseTimeoutError:
        pass
    with dp.as_settled([promise]) as settled:
        assert [outcome for _, outcome in settled] == [dp.Resolved("bye")]
    assert promise.id in [info.id for info in promises.list()]


# Whoever is registered first is called last.
if order == "after ours":
    atexit.register(last)
import dp_core.sync as dp
if order == "before ours":
    atexit.register(last)
if used == "used":
    with dp.connect(url) as promises:
        promises.promise("used").resolve(1)
        try:
            promises.promise("pending").get(0.5)
        except dp.PromiseTimeoutError:
            pass
    threading.Thread(target=dp.connect(url).promise("never").get, daemon=True).start()
    while not any(thread.name == "dp-sync" for thread in threading.enumerate()):
        pass
"""


@pytest.fixture(params=["memory", "file", "sqlite", "http"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store of each kind."""
    urls = {
        "memory": lambda: "memory:",
        "file": lambda: f"file:{tmp_path}/promises",
        "sqlite": lambda: f"sqlite:{tmp_path}/promises.db",
        "http": lambda: request.getfixturevalue("server"),
    }
    made: str = urls[request.param]()
    return made


def run_file(program: str, directory: Path, *arguments: str) -> None:
    """Run a program that other processes import."""
    path = directory / "program.py"
    path.write_text(program, encoding="utf-8")
    run_python(str(path), *arguments)


def run(program: str, *arguments: str) -> None:
    """Run a program."""
    run_python("-c", program, *arguments)


def run_python(*arguments: str) -> None:
    """Run a program, which prints that all is whole, and nothing else."""
    # From 3.12 on, a fork with threads is warned of: the programs have some. And they
    # leave handles open.
    quiet = ("error", "ignore::DeprecationWarning", "ignore::ResourceWarning")
    done = subprocess.run(
        [sys.executable, *(f"-W{what}" for what in quiet), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "whole\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("parent", ["resting", "busy"])
def test_a_fork(url: str, parent: str) -> None:
    """The child settles, waits and goes on with iterators, and so does the parent."""
    run(FORK, url, parent)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes(tmp_path: Path, method: str) -> None:
    """Workers and their parent wait for each other, however workers are started."""
    run_file(POOL, tmp_path, f"file:{tmp_path}/promises", method)


@pytest.mark.parametrize("order", ["before ours", "after ours"])
@pytest.mark.parametrize("used", ["used", "unused"])
def test_the_last_word_of_a_program(url: str, order: str, used: str) -> None:
    """
    A function registered with `atexit` may do all that the program may.

    Though nothing was done before, or a thread is blocked.
    """
    run(EXIT, url, order, used)
