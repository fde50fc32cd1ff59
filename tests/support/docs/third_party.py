"""Scripts that use the example of a third party, where it is installed."""

from __future__ import annotations

from typing import Final

__all__ = ["FILLED", "FORKED", "LATE", "UNPLUGGED", "WRITER"]

FILLED: Final = """
import sys

import anyio
import dp_lmdb
from dp_core import BackendUnavailableError, connect

dp_lmdb._ROOM = 64 * 1024


async def main():
    async with connect(sys.argv[1]) as promises:
        try:
            for n in range(64):
                last = promises.promise(str(n))
                await last.resolve("x" * 2000)
        except BackendUnavailableError as error:
            print(error)
            print(await last.peek())
            await promises.promise("0").dispose()
            await promises.promise("1").dispose()
            print(await last.resolve("y"))


anyio.run(main)
"""

FORKED: Final = """
import os
import sys

import anyio
from dp_core import connect

promises = connect(sys.argv[1])


async def settle(id, value):
    await promises.promise(id).resolve(value)


async def show(who, id):
    print(who, "sees", await promises.promise(id).get(timeout=60), flush=True)


anyio.run(settle, "by parent", 1)
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    anyio.run(show, "parent", "by child")
else:
    assert promises.backend.store._env is None
    anyio.run(show, "child", "by parent")
    anyio.run(settle, "by child", 2)
    os._exit(0)
"""

LATE: Final = """
import sys

import anyio
from dp_core import Resolved
from dp_lmdb import LmdbBackend


class Held(LmdbBackend):
    then = None

    async def do(self, work):
        then, self.then = self.then, None
        found = await super().do(work)
        if then:
            await then()
        return found


async def until(condition):
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.001)


async def settle(id):
    other = LmdbBackend(sys.argv[1])
    await other.settle(id, Resolved(id.encode()))
    await other.aclose()


async def wait(backend, id, scope=None):
    with scope or anyio.CancelScope(), anyio.fail_after(60):
        print((await backend.wait(id)).value.decode(), flush=True)


async def main():
    backend = Held(sys.argv[1])
    group = backend.waits.get().group
    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, backend, "early", scope)
        await until(lambda: len(group) == 1)
        env = backend.store._env

        async def look():
            await settle("late")
            known = lambda: backend.waits.get().number == backend.store.number()
            await until(known)

        backend.then = look
        await wait(backend, "late")

        has_read = anyio.Event()

        async def let_join():
            has_read.set()
            await until(lambda: len(group) == 2)

        async def meet():
            backend.then = let_join
            await settle("between")
            await has_read.wait()

        backend.then = meet
        await wait(backend, "between")

        async def cut_off():
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        tasks.start_soon(wait, backend, "followed")
        await until(lambda: len(group) == 2)
        backend.then = cut_off
        await settle("followed")
    print(env is backend.store._env)
    await backend.aclose()
    print(backend.store._env)


anyio.run(main)
"""

# Nobody can be killed in the middle of LMDB's last write, which is one system call. So
# the writer that stands for it leaves out to sync.
WRITER: Final = """
import os
import sys

import dp_lmdb
import lmdb

env = lmdb.open(sys.argv[1], dp_lmdb._ROOM, subdir=False, sync=False)
with env.begin(write=True) as transaction:
    promise = dp_lmdb._Promise(value=b"1")
    transaction.put(dp_lmdb._key("a"), dp_lmdb.encode(promise))
os._exit(0)
"""
UNPLUGGED: Final = """
import subprocess
import sys
import tempfile

import anyio
from dp_core import connect
from dp_core.testing.crash import Disk


async def dispose(url):
    async with connect(url) as promises:
        await promises.promise("a").dispose()


async def peek(url):
    async with connect(url) as promises:
        return await promises.promise("a").peek()


with tempfile.TemporaryDirectory() as directory, Disk(directory) as disk:
    for name in ("unseen", "seen"):
        url = f"lmdb:{disk.root}/{name}.db"
        anyio.run(dispose, url)
        subprocess.run([sys.executable, "-c", sys.argv[1], url[5:]], check=True)
        if name == "seen":
            anyio.run(peek, url)
        disk.cut_power()
        print(f"{name}: {anyio.run(peek, url)}")
"""
