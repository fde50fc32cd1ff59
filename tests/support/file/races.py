"""Races of real processes over a file store, as the tests and the mutants are run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from random import Random, SystemRandom
from typing import Any

from dp_backends.file._store import FileStore
from dp_core import Resolved
from dp_core.testing.crash import Lane, Step
from support.file.crash_setups import CHILD, ENVIRONMENT, value
from support.file.random_load import IDS, Seen

__all__ = ["killed", "kills", "new_seed", "race", "turmoil"]


def new_seed() -> int:
    """Return a seed, and print it: pytest shows it where a test fails."""
    seed = SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    return seed


def _environment(mutant: str | None) -> dict[str, str]:
    return ENVIRONMENT | ({"DP_MUTANT": mutant} if mutant else {})


def race(root: str, processes: int, rounds: int, mutant: str | None = None) -> None:
    """
    Let processes settle the same promises, each with a value of its own.

    Raises:
        AssertionError: They were not all told the same, or the wrong thing.
    """
    ids = [f"race-{number}" for number in range(rounds)]
    with ExitStack() as stack:
        lanes = [
            stack.enter_context(Lane(CHILD, _environment(mutant), 60))
            for _ in range(processes)
        ]
        pids = [
            lane.begin(f"file:{root}", [Step("resolve", id, f"by {n}") for id in ids])
            for n, lane in enumerate(lanes)
        ]
        for lane in lanes:
            lane.go()
        ended = [lane.ended(pid) for lane, pid in zip(lanes, pids, strict=True)]
    for one in ended:
        assert one.failure is None
        assert len(ids) == len(one.answers)
    store = FileStore(root)
    for number, id in enumerate(ids):
        told = {entry.answers[number] for entry in ended}
        assert 1 == len(told), f"{id}: they were told {told}"
        assert told <= {Resolved(f"by {n}") for n in range(processes)}
        assert told == {_decoded(store.look(id).state)}


def killed(
    root: str, rounds: int, seed: int, mutant: str | None = None
) -> tuple[int, int]:
    """
    Kill a settling process at a random moment, again and again.

    Another one settles the same promises meanwhile and is left alone.

    Returns:
        The number of settles that the killed ones acknowledged, and of those of
        these processes that died before they were done.

    Raises:
        AssertionError: Something acknowledged was lost or has changed, or a
            settle did not work afterwards.
    """
    random = Random(seed)
    acknowledged: dict[str, Any] = {}
    died = 0
    with (
        Lane(CHILD, _environment(mutant), 60) as victim,
        Lane(CHILD, _environment(mutant), 60) as rival,
    ):
        for was_killed, told in kills(victim, rival, f"file:{root}", rounds, random):
            died += was_killed
            acknowledged |= told
            _settle_once_more(root, told)
    _all_stand(root, acknowledged)
    return sum(isinstance(o, Resolved) for o in acknowledged.values()), died


def kills(
    victim: Lane, rival: Lane, url: str, rounds: int, random: Random
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """
    Let two processes settle the same promises, and kill one of them at some moment.

    Yields:
        Of each round, whether it died before it was done, and what the other one was
        told of each promise.

    Raises:
        AssertionError: They were told different things, or the other one failed.
    """
    longest = 0.0
    for number in range(rounds):
        ids = [f"kill-{number}-{n}" for n in range(8)]
        pid = victim.begin(url, [Step("resolve", id, "victim") for id in ids])
        other = rival.begin(url, [Step("reject", id, "rival") for id in ids[::-1]])
        victim.go()
        rival.go()
        started = time.monotonic()
        if number > 0:
            # Not to wait for something: to kill it anywhere.
            time.sleep(random.uniform(0, longest))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended, rest = victim.ended(pid), rival.ended(other)
        # The first one is left alone, to learn how long they take; the others, so that
        # most die while they are at it.
        if number == 0:
            longest = time.monotonic() - started
        else:
            longest *= 1.05 if ended.killed else 0.8
        assert rest.failure is None, rest.failure
        told = dict(zip(ids[::-1], rest.answers, strict=True))
        for id, answer in zip(ids, ended.answers, strict=False):
            assert answer == told[id], f"{id}: {answer} and {told[id]}"
        yield ended.killed, told


def _settle_once_more(root: str, told: Mapping[str, Any]) -> None:
    store = FileStore(root)
    for id in sorted(told):
        outcome = store.settle(id, value("afterwards"))
        assert told[id] == _decoded(outcome), f"{id}: {outcome}, not {told[id]}"


def _all_stand(root: str, acknowledged: Mapping[str, Any]) -> None:
    store = FileStore(root)
    for id, outcome in acknowledged.items():
        state = store.look(id).state
        assert outcome == _decoded(state), f"{id}: {outcome} became {state}"


def _decoded(state: Any) -> Any:
    return Resolved(json.loads(state.value)) if isinstance(state, Resolved) else state


def turmoil(
    root: str,
    seed: int,
    *,
    processes: int,
    operations: int,
    mutant: str | None = None,
    terms: bool = False,
    program: str = "support.file.random_load",
) -> Iterator[str]:
    """
    Let processes settle, dispose of and look at a few promises at once.

    Args:
        root: The path of the store.
        seed: Decides what they do.
        processes: How many there are.
        operations: How many each does.
        mutant: The mistake to make.
        terms: Whether they also create, with deadlines.
        program: The module that each of them runs.

    Yields:
        A sentence for each wrong answer.
    """
    command = (sys.executable, "-m", program, root)
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, f"{seed}/{n}", str(operations), *["terms"][:terms]],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | _environment(mutant),
                )
            )
            for n in range(processes)
        ]
        for process in running:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
        told = [process.communicate("go\n", timeout=120)[0] for process in running]
    histories = [[Seen(**entry) for entry in json.loads(text)] for text in told]
    yield from _judged(histories)
    if terms:
        yield from _judged_terms(histories)


def _judged(histories: list[list[Seen]]) -> Iterator[str]:
    proposed = {(s.id, s.own) for history in histories for s in history if s.own}
    outcomes: dict[tuple[str, str | None], str] = {}
    of_value: dict[str, str | None] = {}
    for history in histories:
        for seen in history:
            if seen.do == "error":
                yield f"{seen.id}: {seen.text}"
                continue
            if seen.text is not None and (seen.id, seen.text) not in proposed:
                yield f"{seen.id}: nobody proposed {seen.text}"
            if seen.do == "look" and seen.text is not None:
                key = (seen.id, seen.generation)
                if outcomes.setdefault(key, seen.text) != seen.text:
                    yield f"{key} was {outcomes[key]}, and {seen.text}"
                if of_value.setdefault(seen.text, seen.generation) != seen.generation:
                    yield f"{seen.text} stood in two generations of {seen.id}"
        for id in IDS:
            yield from _judged_one([seen for seen in history if seen.id == id])


def _judged_one(history: list[Seen]) -> Iterator[str]:
    """Judge what one process was told of one promise, in order."""
    before: Seen | None = None
    left: set[str | None] = set()
    disposed = False
    for seen in history:
        if seen.do == "dispose":
            disposed = True
        elif seen.do == "look":
            if before is not None and before.generation == seen.generation:
                if disposed:
                    yield f"{seen} came after a disposal, and before: {before}"
                if before.text is not None and before.text != seen.text:
                    yield f"{before} became {seen}"
            elif before is not None:
                left.add(before.generation)
            if seen.generation in left:
                yield f"{seen} is of a generation that had ended"
            before, disposed = seen, False


# With terms ------------------------------------------------------------------


def _judged_terms(histories: list[list[Seen]]) -> Iterator[str]:
    """
    Judge what processes of one machine, with one clock, were told.

    Yields:
        A sentence for each wrong answer.
    """
    everything = [seen for history in histories for seen in history]
    proposed = {(seen.id, seen.own) for seen in everything if seen.own}
    terms: dict[tuple[str, str | None], object] = {}
    of_value = {s.text: s.generation for s in everything if s.do == "look"}
    for seen in everything:
        if seen.terms is None:
            continue
        if (seen.id, seen.terms[2]) not in proposed:
            yield f"nobody asked for the terms of {seen}"
        if seen.do == "look":
            key = (seen.id, seen.generation)
            if terms.setdefault(key, seen.terms) != seen.terms:
                yield f"{seen} has other terms than {terms[key]}"
    for seen in everything:
        if seen.do == "look":
            yield from _judged_look(seen)
    for history in histories:
        for id in IDS:
            one = [seen for seen in history if seen.id == id]
            yield from _judged_terms_of_one(one, of_value)


def _judged_look(seen: Seen) -> Iterator[str]:
    if seen.terms is None:
        if seen.expired:
            yield f"{seen} expired without terms"
        return
    deadline, otherwise, _ = seen.terms
    if seen.text is None and deadline is not None and deadline <= seen.began:
        yield f"{seen} was shown pending"
    if seen.expired != (seen.text is not None and seen.text == otherwise):
        yield f"{seen} does not say rightly whether it expired"
    if seen.expired and (deadline is None or deadline > seen.ended):
        yield f"{seen} expired too early"


def _judged_terms_of_one(
    history: list[Seen], of_value: dict[str | None, str | None]
) -> Iterator[str]:
    """Judge what one process was told of one promise, in order."""
    before: Seen | None = None
    created: Seen | None = None
    for seen in history:
        if seen.do == "create":
            created = seen
        elif seen.do == "settle" and before is not None and before.terms is not None:
            deadline = before.terms[0]
            won = seen.text == seen.own and of_value.get(seen.own) == before.generation
            if won and deadline is not None and deadline <= seen.began:
                yield f"{seen} was late, and won against {before}"
        elif seen.do == "look":
            if before is not None and before.generation == seen.generation:
                if before.terms is not None and seen.terms is None:
                    yield f"{before} lost its terms: {seen}"
                if created is not None and created.terms != seen.terms:
                    yield f"{created} was told others than {seen}"
            before, created = seen, None
