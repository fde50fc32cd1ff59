"""
Processes that answer by promise: each child counts the primes of one part.

A child that dies is started again. So may the parent be: what was answered is not asked
again, and of two children with one part the first answer counts.

    python subprocess_children.py primes-1
"""

import asyncio
import sys
from contextlib import suppress
from math import isqrt

import dp_core as dp

PARTS = 4
SIZE = 5_000
ATTEMPTS = 3


async def child(id: str, part: int) -> None:
    numbers = range(part * SIZE, (part + 1) * SIZE)
    count = sum(n > 1 and all(n % d for d in range(2, isqrt(n) + 1)) for n in numbers)
    await dp.durable_promise(id, type=int).resolve(count)


async def answered(promise: dp.DurablePromise[int], part: int) -> None:
    """Start children until one has answered."""
    for _ in range(ATTEMPTS):
        if isinstance(await promise.peek(), dp.Resolved | dp.Rejected):
            return
        words = (sys.executable, __file__, promise.id, str(part))
        process = await asyncio.create_subprocess_exec(*words)
        try:
            await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()  # we may be cancelled, and leave nobody behind
            await process.wait()
    await promise.reject(f"its process died {ATTEMPTS} times")


async def parent(run: str) -> None:
    async with dp.connect() as promises:
        parts = [promises.promise(f"{run}-{part}", int) for part in range(PARTS)]
        async with asyncio.TaskGroup() as tasks:
            for part, promise in enumerate(parts):
                tasks.create_task(answered(promise, part))
        print(sum(await dp.gather(*parts)), "primes below", PARTS * SIZE)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [run]:
            asyncio.run(parent(run))
        case [id, part]:
            asyncio.run(child(id, int(part)))
