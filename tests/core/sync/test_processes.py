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
    if used == "used":
        # A daemon thread has waited meanwhile.
        waited_for.resolve("at last")
        waiting.join()
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
    waited_for = dp.connect(url).promise(own)
    waiting = threading.Thread(target=waited_for.get, daemon=True)
    waiting.start()
    # It is blocked; over HTTP, by a request that is under way.
    while not any(thread.name == "dp-sync" for thread in threading.enumerate()):
        pass
    if url.startswith("http:"):
        from dp_backends.http._pool import _POOLS

        while not any(pool._busy for pool in tuple(_POOLS)):
            pass
"""

STEP: Final = """
import asyncio, os, threading, time
import dp_core.sync as dp

HELD = threading.Lock()
IS_HELD, IS_OVER = threading.Event(), threading.Event()
inner = dp.connect("memory:step").backend


class Holding(dp.Backend):
    # Each step of its tasks holds a lock, as one does that imports a module.
    async def peek(self, id):
        while not IS_OVER.is_set():
            with HELD:
                IS_HELD.set()
                time.sleep(0.002)
            await asyncio.sleep(0)
        return await inner.peek(id)

    settle, wait, dispose = inner.settle, inner.wait, inner.dispose
    aclose = inner.aclose


promise = dp.Promises(Holding(), "test:holding").promise("x")
peeking = threading.Thread(target=promise.peek, daemon=True)
peeking.start()
IS_HELD.wait(30)
for _ in range(5):
    child = os.fork()
    if not child:
        os._exit(not HELD.acquire(blocking=False))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
IS_OVER.set()
peeking.join()
assert promise.resolve(1) == dp.Resolved(1) == promise.peek()
print("whole")
"""

HANDLER: Final = """
import os, signal, sys, threading
import dp_core.sync as dp

store = dp.connect(sys.argv[1])
waiting = store.promise(os.urandom(8).hex())
children = []


def fork(*_):
    child = os.fork()
    if child:
        children.append(child)
    else:
        # It would keep the test waiting.
        signal.alarm(20)


signal.signal(signal.SIGUSR1, fork)
main = threading.main_thread().ident
threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGUSR1)).start()
code = 1
try:
    waiting.get(2)
except dp.OutcomeUnknownError:
    # Only in the child is nobody there to go on with it.
    assert not children and waiting.resolve(1) == dp.Resolved(1)
    code = 0
except dp.PromiseTimeoutError:
    assert children
if not children:
    os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
print("whole")
"""

NO_DESCRIPTORS: Final = """
import os, resource, sys
import dp_core.sync as dp

promise = dp.connect(sys.argv[1]).promise("x")
if sys.argv[2] == "own":
    # As at the end of the interpreter: no thread, and so no loop of all threads.
    import _thread

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    _thread.start_new_thread = refuse
else:
    # What is imported by the first call needs descriptors, too.
    promise.peek()
    os.waitpid(os.fork() or os._exit(0), 0)
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
# With some left, a loop is half made.
for free in range(3):
    try:
        promise.peek()
    except dp.BackendUnavailableError as error:
        assert "an event loop cannot be made" in str(error), error
        assert "Too many open files" in str(error), error
    else:
        raise AssertionError(free)
    os.close(taken.pop())
while taken:
    os.close(taken.pop())
assert promise.resolve(1) == dp.Resolved(1) == promise.peek()
print("whole")
"""

CLOSED: Final = """
import atexit, os, sys, threading


def files():
    return sorted(os.listdir("/proc/self/fd"))


def look():
    # After ours, which was registered later.
    names = [thread.name for thread in threading.enumerate()]
    assert names == ["MainThread"], names
    assert files() == before, files()
    print("whole")


atexit.register(look)
import dp_core.sync as dp

promise = dp.connect("memory:").promise("x")
before = files()
promise.resolve(1)
assert len(files()) > len(before)
"""

LAST: Final = """
import gc, os, sys, threading
import dp_core.sync as dp

promises = dp.connect(sys.argv[1])
own = os.urandom(8).hex()
promises.promise(own).resolve(1)
gc.set_threshold(0)


class Last:
    def __del__(self):
        promise = promises.promise(own + "last")
        assert promise.resolve("bye") == dp.Resolved("bye")
        assert promise.get() == "bye"
        os.write(1, b"whole\\n")


if sys.argv[2] == "busy":
    threading.Thread(target=promises.promise(own + "never").get, daemon=True).start()
    while not any(thread.name == "dp-sync" for thread in threading.enumerate()):
        pass
# In a cycle it ends with the interpreter, when no thread goes on any more.
last = Last()
last.itself = last
del last
"""


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


def test_a_fork_in_the_middle_of_a_step() -> None:
    """The thread for all stands still between two steps, and holds no lock."""
    run(STEP)


def test_a_fork_in_a_signal_handler_that_returns(tmp_path: Path) -> None:
    """The call that it came into goes on in the parent; the child is told so."""
    run(HANDLER, f"file:{tmp_path}/promises")


@pytest.mark.parametrize("parent", ["resting", "busy"])
def test_the_last_object_of_a_program(url: str, parent: str) -> None:
    """It may settle a promise when it is deleted, though no thread can be started."""
    run(LAST, url, parent)


@pytest.mark.parametrize("loop", ["shared", "own"])
def test_without_descriptors(loop: str) -> None:
    """An event loop cannot be made: the call says so, and the next one is served."""
    run(NO_DESCRIPTORS, "memory:", loop)


def test_the_loop_is_closed_at_exit() -> None:
    """Neither its thread nor its files are there for what is left of the program."""
    run(CLOSED)
