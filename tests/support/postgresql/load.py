"""
A process that settles promises, one after another, until it is told to stop.

``python -m support.postgresql.load URL TASKS [IDS…]``: says "ready", waits for a line,
and prints for each promise, as JSON, its id and the value that it was told to stand.
With ids, each task settles all of them; else each makes its own, for ever.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from itertools import count

import anyio
from anyio import to_thread

from dp_core import connect

__all__: list[str] = []


async def main(url: str, tasks: str, *ids: str) -> None:
    """Settle, and print what was told."""
    async with connect(url) as promises:

        async def settle(number: int) -> None:
            own = f"{os.getpid()}/{number}"
            names: Iterable[str] = ids or (f"{own}/{n}" for n in count())
            for name in names:
                won = await promises.promise(name).resolve(own)
                print(json.dumps([name, won.unwrap()]), flush=True)

        print("ready", flush=True)
        await to_thread.run_sync(sys.stdin.readline)
        async with anyio.create_task_group() as group:
            for number in range(int(tasks)):
                group.start_soon(settle, number)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
