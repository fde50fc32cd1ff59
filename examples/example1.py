"""
One durable promise, from all sides.

Durable promises work like the promises (futures) you know, but they are
durable across processes and failures:

- A promise is identified by a name, its id.
- Any number of awaiters, in any number of processes, can await it.
- It can be resolved or rejected once. Of several attempts only the first takes
  effect, and everybody is told what that was.

They are a simple way to signal between processes, because the value is stable
and durable once it is set: whoever asks again, even after a crash, gets the
same value. Awaiter and completer need not be alive at the same time, and it
does not matter who comes first. Run this twice: the second run finds the
promise of the first.

    python examples/example1.py [promise-id] [url]
"""

from __future__ import annotations

import asyncio
import sys

import dp_core as dp


async def run(id: str = "my-durable-promise-id", url: str | None = None) -> None:
    """Peek at a promise, await it, resolve it, and try to reject it."""
    async with dp.connect(url) as promises:
        # A handle on the promise. Nothing is asked or sent yet.
        promise = promises.promise(id)

        # Look, without waiting. Only a pending promise has no outcome.
        match await promise.peek():
            case dp.Pending():
                print("Peeked value: null")
            case outcome:
                print(f"Peeked value: {outcome.unwrap()}")

        # Await the result, on the side.
        result = asyncio.create_task(promise.get())

        # Complete it. If we are the first, the outcome that stands is ours.
        won = await promise.resolve("This promise will notify everyone")
        print(f"Result value: {await result}")
        print(f"Actual result after completing: {won.unwrap()}")

        # This comes too late, and changes nothing.
        won = await promise.reject("Oh dear, rejected")
        print(f"Actual result after rejection: {won.unwrap()}")


if __name__ == "__main__":
    try:
        asyncio.run(run(*sys.argv[1:]))
    except dp.PromiseRejectedError as rejection:
        # Not a failure of ours: somebody else rejected this promise before.
        print(rejection, file=sys.stderr)
    except dp.DurablePromiseError as error:
        sys.exit(str(error))
