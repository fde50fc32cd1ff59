"""A program that creates promises with callbacks, to be killed meanwhile."""

from __future__ import annotations

import anyio

from dp_core import Pending, connect
from dp_core.testing.crash import Acknowledge, Step, serve


async def perform(url: str, steps: list[Step], acknowledge: Acknowledge) -> None:
    """Create the promises of all steps; the value of each is the URL to notify."""
    async with connect(url) as promises:
        for step in steps:
            await promises.create(step.promise, notify=[step.value])
            if step.do == "dispose":
                await promises.promise(step.promise).dispose()
            acknowledge(Pending())


if __name__ == "__main__":
    anyio.run(anyio.sleep, 0)
    serve(lambda *arguments: anyio.run(perform, *arguments), warm_up=connect)
