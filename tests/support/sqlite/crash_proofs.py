"""
Proofs of what the SQLite store promises about kills and power cuts.

Each is to be run on the store and its mutants, and raises an AssertionError if it does
not do what it promises.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio

from dp_core import Pending, Resolved, State, connect
from dp_core.testing.crash import WRITING_CALLS, Disk, Step, VictimRunner
from dp_core.testing.crash._victims import thinned
from support.sqlite.sweeps import BATCH, CHILD, environment

__all__ = ["LOOKS", "batches_are_whole", "what_was_shown_stays"]

_SETTLED: Final = Resolved("the first")

LOOKS: Final = ("peek", "get", "resolve", "info", "list")
"""The operations that show an outcome; "resolve" comes too late."""


def what_was_shown_stays(disk: Disk, look: str, mutant: str | None = None) -> None:
    """
    A value that was shown outlives a power cut, whoever settled it and was killed.

    The process that settles is killed before each fsync. Then another one looks, and
    ends without closing the store; then the power is cut.
    """
    url = f"sqlite:{disk.root}/x.db"
    ids = (f"x{number}" for number in count())
    shown: list[State[Any]] = []
    with VictimRunner(CHILD, environment(mutant), 20) as runner:
        # The first one makes the store, the second one finds out about its calls.
        assert runner.run(url, [_settle(next(ids))]).failure is None
        calls = ("fsync", "fdatasync", "writev")
        points, _ = runner.points(url, [_settle(next(ids))], calls)
        acknowledged = [point.call for point in points].index("writev")
        for point in points[:acknowledged]:
            id = next(ids)
            assert runner.run_until(url, [_settle(id)], point).killed
            if look == "get":
                # A wait would not end, if the outcome was lost.
                looks = [Step("peek", id)]
                if Pending() in runner.run(url, looks, abrupt=True).answers:
                    continue
            step = Step(look, id, "too late")
            looked = runner.run(url, [step], abrupt=True)
            assert looked.failure is None
            disk.cut_power()
            after = runner.run(url, [Step("peek", id)])
            shown += [answer for answer in looked.answers if answer is not None]
            if look != "resolve" or looked.answers == (_SETTLED,):
                assert shown[-1] in (Pending(), *after.answers), f"{point}: {after}"
            assert after.failure is None
    assert _SETTLED in shown, "nothing was shown that was not acknowledged"


def _settle(id: str) -> Step:
    return Step("resolve", id, "the first")


def batches_are_whole(directory: Path, size: int, mutant: str | None = None) -> int:
    """
    Of a batch that a kill cuts short all is settled, or nothing, and nobody told.

    Returns:
        The number of points at which it was killed.
    """
    url = f"sqlite:{directory}/x.db"
    with VictimRunner(BATCH, environment(mutant), 20) as runner:
        assert runner.run(url, _batch("first", size)).failure is None
        points, ended = runner.points(url, _batch("second", size), WRITING_CALLS)
        assert size == len(ended.answers)
        points = thinned(points)
        killed = 0
        for number, point in enumerate(points):
            steps = _batch(f"{number}", size)
            ended = runner.run_until(url, steps, point)
            assert ended.failure is None
            killed += ended.killed
            found = anyio.run(_states, url, steps)
            assert found in ({_SETTLED}, {Pending()}), f"{point}: in part"
            if ended.answers:
                assert {_SETTLED} == found, f"{point}: told, and lost"
    return killed


def _batch(name: str, size: int) -> list[Step]:
    return [_settle(f"{name}-{number}") for number in range(size)]


async def _states(url: str, steps: list[Step]) -> set[State[Any]]:
    async with connect(url) as promises:
        return {await promises.promise(step.promise).peek() for step in steps}
