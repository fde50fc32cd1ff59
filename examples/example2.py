"""
One promise, many processes.

Each process that runs this takes part in the same promise: by chance it either
resolves the promise or awaits it. Start it several times, in different shells,
and see how the processes communicate through the promise.

    python examples/example2.py [promise-id] [url] [--seed N]

The seed decides the role, for those who want to know it beforehand.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys

import dp_core as dp


async def run(id: str, url: str, seed: int | None) -> None:
    """Resolve the promise or await it, and print what it settled to."""
    # Are we going to write the promise, or to read it?
    resolve = random.Random(seed).random() < 0.3
    say(f"will {'RESOLVE' if resolve else 'AWAIT'} the promise")

    async with dp.connect(url) as promises:
        promise = promises.promise(id)

        match await promise.peek():
            case dp.Pending():
                peeked = "null"
            case outcome:
                peeked = outcome.unwrap()
        say(f": Peek '{id}' = '{peeked}'")

        if resolve:
            value = f"Completed by {os.getpid()}"
            say(f": Resolving '{id}' to '{value}'")
            won = await promise.resolve(value)
            say(f": '{id}' actually resolved to '{won.unwrap()}'")
        else:
            say(f": Awaiting '{id}'...")
            result = await promise.get()
            say(f": Got result for '{id}' = '{result}'")


def say(text: str) -> None:
    """Print who says what, at once: it is news to others while we wait."""
    print(f"{os.getpid()} {text}", flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="One promise, many processes.")
    parser.add_argument("id", nargs="?", default="my-example-2-id")
    parser.add_argument("url", nargs="?", default=dp.default_url())
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(run(**vars(arguments())))
    except dp.PromiseRejectedError as rejection:
        # Not a failure of ours: somebody else rejected this promise.
        print(rejection, file=sys.stderr)
    except dp.DurablePromiseError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
