"""Races of processes for the promises of one SQLite store."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import Any

import anyio

from dp_core import State, connect
from dp_core.testing.crash import Step, VictimRunner
from support.file.races import kills
from support.sqlite.sweeps import BATCH, CHILD, environment

__all__ = ["killed", "race"]


def race(url: str, processes: int, rounds: int, mutant: str | None = None) -> None:
    """
    Let processes settle the same promises, each with a value of its own.

    Raises:
        AssertionError: They were not all told the same, or the wrong thing.
    """
    ids = [f"race-{number}" for number in range(rounds)]
    ways = [CHILD, BATCH]
    with ExitStack() as stack:
        runners = [
            stack.enter_context(VictimRunner(ways[n % 2], environment(mutant), 60))
            for n in range(processes)
        ]
        pids = [
            runner.begin(url, [Step("resolve", id, f"by {n}") for id in ids])
            for n, runner in enumerate(runners)
        ]
        for runner in runners:
            runner.go()
        told = [runner.ended(pid) for runner, pid in zip(runners, pids, strict=True)]
    assert [None] * processes == [one.failure for one in told]
    final = states(url, ids)
    for one in told:
        assert final == one.answers


def states(url: str, ids: list[str]) -> tuple[State[Any], ...]:
    """Return the states of promises."""

    async def peek() -> tuple[State[Any], ...]:
        async with connect(url) as promises:
            return tuple([await promises.promise(id).peek() for id in ids])

    return anyio.run(peek)


def killed(
    url: str, rounds: int, seed: int, mutant: str | None = None
) -> tuple[int, int]:
    """
    Kill a settling process at a random moment, again and again.

    Another one settles the same promises meanwhile and is left alone.

    Returns:
        How many processes died before they were done, and how many settles of them
        stand.

    Raises:
        AssertionError: Something acknowledged was lost or has changed.
    """
    random = Random(seed)
    died = 0
    known: dict[str, State[Any]] = {}
    with (
        VictimRunner(BATCH, environment(mutant), 60) as victim,
        VictimRunner(CHILD, environment(mutant), 60) as rival,
    ):
        for was_killed, told in kills(victim, rival, url, rounds, random):
            died += was_killed
            known |= {id: answer for id, answer in told.items() if answer is not None}
    assert tuple(known.values()) == states(url, list(known))
    return died, sum("victim" in str(state) for state in known.values())
