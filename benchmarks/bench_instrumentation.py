"""
The cost of observers: an operation on a memory store, with and without them.

Usage: ``python benchmarks/bench_instrumentation.py [--before TREE] [--rounds 30]``

TREE is another checkout of this repository, from before `dp_core.instrumentation`;
it runs with this Python. All variants take turns in one run, each in a process of
its own, and a ratio is that of the medians. The goal without observers is 1.00, up
to the noise, which the second line of the same variant shows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

OPERATIONS: Final = ("peek", "get", "resolve")
ROOT: Final = Path(__file__).parents[1]

WORKER: Final = """
import sys, time
import anyio
import dp_core as dp

class Silent:
    def started(self, event): pass
    def finished(self, event): pass

assert dp.__file__.startswith(sys.argv[2]), dp.__file__

async def main(observed):
    if observed:
        from dp_core.instrumentation import add_observer
        add_observer(Silent())
    promise = dp.durable_promise("id", "memory:")
    await promise.resolve("value")
    calls = {
        "peek": promise.peek,
        "get": promise.get,
        "resolve": lambda: promise.resolve("v"),
    }
    for line in sys.stdin:
        name, count = line.split()
        call = calls[name]
        began = time.process_time()
        for _ in range(int(count)):
            await call()
        print((time.process_time() - began) / int(count) * 1e6, flush=True)

anyio.run(main, sys.argv[1] == "observed")
"""


class Worker:
    """A process that measures one variant, whenever it is asked."""

    def __init__(self, tree: Path, *, observed: bool = False) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER, "observed" if observed else "", tree],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{tree}:{tree / 'backends'}"},
        )

    def measure(self, operation: str, count: int) -> float:
        """Return how many microseconds an operation takes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(operation, count, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def main() -> None:
    """Measure, and print a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="a tree to compare with")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()

    with ExitStack() as stack:
        workers = {
            "no observer": Worker(ROOT),
            "no observer, again": Worker(ROOT),
            "one observer": Worker(ROOT, observed=True),
        }
        if given.before:
            workers = {"before": Worker(given.before), **workers}
        for worker in workers.values():
            stack.enter_context(worker.process)
        first = next(iter(workers))
        print(f"{'':20}", *(f"{name:>20}" for name in OPERATIONS))
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(given.rounds):
            for operation in OPERATIONS:
                for name, worker in workers.items():
                    took = worker.measure(operation, given.count)
                    times.setdefault((name, operation), []).append(took)
        for name in workers:
            cells = [
                f"{median(times[name, o]):8.2f} us  x{ratio:5.3f}"
                for o in OPERATIONS
                for ratio in [median(times[name, o]) / median(times[first, o])]
            ]
            print(f"{name:20}", *(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
