"""
Many processes at once, and one promise between them.

This starts example 2 as often as you like. About a third of the processes try
to resolve the promise, the others await it, and all of them see one outcome.

    python examples/example3.py [promise-id] [url] [processes] [--seed N]

With a seed, the roles are the same in every run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import dp_core as dp

EXAMPLE_2 = Path(__file__).with_name("example2.py")
MAX_LINE = 2 * dp.MAX_VALUE_BYTES


class Fork:
    """A process that runs example 2, and what we know of it."""

    def __init__(self) -> None:
        self.role = ""
        self.code: int | None = None
        # Set as soon as the process is not going to resolve the promise (any
        # more): it awaits the promise itself, or it is over.
        self.past_resolving = asyncio.Event()

    async def run(self, *arguments: str) -> None:
        """Run the process to its end, and pass on what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, EXAMPLE_2, *arguments, stdout=PIPE, limit=MAX_LINE
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
                # The first line tells: "<pid> will RESOLVE|AWAIT the promise".
                self.role = self.role or line.split()[2].decode()
                if self.role == "AWAIT":
                    self.past_resolving.set()
            self.code = await process.wait()
        finally:
            self.past_resolving.set()
            if process.returncode is None:
                # We were interrupted: leave nobody behind.
                process.kill()
                await process.wait()
        if self.code:
            print(f"Script exited with code {self.code}", file=sys.stderr)


async def step_in(forks: list[Fork], promise: dp.DurablePromise[str]) -> None:
    """Resolve the promise if none of the processes is going to."""
    for fork in forks:
        await fork.past_resolving.wait()
    if isinstance(await promise.peek(), dp.Pending):
        drawn = any(fork.role == "RESOLVE" for fork in forks)
        reason = "whoever drew to RESOLVE it died" if drawn else "all drew to AWAIT it"
        pid = os.getpid()
        print(f"{pid} : Nobody resolves the promise ({reason}), so I do", flush=True)
        await promise.resolve(f"Completed by {pid}")


async def run(id: str, url: str, processes: int, seed: int | None) -> bool:
    """Run the processes, and tell whether all of them ended well."""
    print(f"Running {processes} forks of the promise example process...", flush=True)
    forks = [Fork() for _ in range(processes)]
    async with dp.connect(url) as promises, asyncio.TaskGroup() as tasks:
        for number, fork in enumerate(forks):
            seeded = [] if seed is None else ["--seed", str(seed + number)]
            tasks.create_task(fork.run(*seeded, "--", id, url))
        tasks.create_task(step_in(forks, promises.promise(id)))
    return all(fork.code == 0 for fork in forks)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Many processes, one promise.")
    parser.add_argument("id", nargs="?", default="my-example-3-id")
    parser.add_argument("url", nargs="?", default=dp.default_url())
    parser.add_argument("processes", nargs="?", type=int, default=10)
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    # A polite kill ends like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    status = 1
    try:
        if asyncio.run(run(**vars(arguments()))):
            print("Done.")
            status = 0
    except* dp.DurablePromiseError as errors:
        print(*errors.exceptions, sep="\n", file=sys.stderr)
    except* KeyboardInterrupt:
        status = 130
    sys.exit(status)
