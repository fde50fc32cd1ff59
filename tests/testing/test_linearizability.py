"""`dp_core.testing.linearizability`: accepted, rejected and shortened histories."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from dp_core import Outcome, Pending, PromiseInfo, Rejected, Resolved, State, Terms
from dp_core.testing.kit import CANCELLED, DISPOSED, DONE, CallResult
from dp_core.testing.linearizability import Operation, Verdict, check, shortest

ONE, TWO, NO = Resolved(b"1"), Resolved(b"2"), Rejected("no")
PENDING = Pending()
NEVER = math.inf

PAST, FAR = datetime(2001, 2, 3, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)
FIRST: Terms[bytes] = Terms(tags={"n": "1"})
SECOND: Terms[bytes] = Terms(FAR, NO, {"n": "2"})
OVER: Terms[bytes] = Terms(PAST, NO, {"n": "3"})


def settle(
    given: Outcome[bytes], answer: CallResult, began: float, ended: float
) -> Operation:
    """Make an operation."""
    return Operation("settle", answer, began, ended, given)


def peek(answer: CallResult, began: float, ended: float) -> Operation:
    """Make an operation."""
    return Operation("peek", answer, began, ended)


def wait(answer: CallResult, began: float, ended: float) -> Operation:
    """Make an operation."""
    return Operation("wait", answer, began, ended)


def dispose(began: float, ended: float) -> Operation:
    """Make an operation."""
    return Operation("dispose", DONE, began, ended)


def create(
    given: Terms[bytes], answer: CallResult, began: float, ended: float
) -> Operation:
    """Make an operation."""
    return Operation("create", answer, began, ended, given)


def info(
    state: State[bytes], terms: Terms[bytes] | None, began: float, ended: float
) -> Operation:
    """Make an operation."""
    return Operation("info", PromiseInfo("id", state, terms), began, ended)


def unknown(operation: Operation) -> Operation:
    """Make the effect of an operation unknown."""
    return replace(operation, answer=CANCELLED, ended=NEVER)


POSSIBLE = {
    "nothing": [],
    "one after another": [settle(ONE, ONE, 1, 2), peek(ONE, 3, 4), wait(ONE, 5, 6)],
    "a loser gets the first outcome": [settle(ONE, ONE, 1, 4), settle(NO, ONE, 2, 3)],
    "pending before, and during": [
        peek(PENDING, 1, 2),
        settle(ONE, ONE, 3, 9),
        peek(PENDING, 4, 5),
        peek(ONE, 6, 7),
    ],
    "a wait ends when it is settled": [wait(ONE, 1, 4), settle(ONE, ONE, 2, 3)],
    "the unknown happened": [unknown(settle(ONE, ONE, 1, 2)), peek(ONE, 3, 4)],
    "the unknown happened late": [
        unknown(settle(ONE, ONE, 1, 2)),
        peek(PENDING, 3, 4),
        peek(ONE, 5, 6),
    ],
    "the unknown never happened": [
        unknown(settle(ONE, ONE, 1, 2)),
        settle(TWO, TWO, 3, 4),
    ],
    "afresh after a disposal": [
        settle(ONE, ONE, 1, 2),
        dispose(3, 4),
        peek(PENDING, 5, 6),
        settle(TWO, TWO, 7, 8),
    ],
    "told of the disposal": [wait(DISPOSED, 1, 4), dispose(2, 3)],
    "told of a disposal that nobody acknowledged": [
        wait(DISPOSED, 2, 4),
        unknown(dispose(1, 3)),
    ],
    "told the former outcome after its disposal": [
        wait(ONE, 1, 9),
        settle(ONE, ONE, 2, 3),
        dispose(4, 5),
    ],
    "the same value twice": [settle(ONE, ONE, 1, 2), settle(ONE, ONE, 3, 4)],
    "a cancelled reader says nothing": [
        unknown(peek(ONE, 1, 2)),
        unknown(wait(ONE, 1, 2)),
        unknown(info(ONE, FIRST, 1, 2)),
    ],
    "the first terms stand": [
        info(PENDING, None, 1, 2),
        create(FIRST, FIRST, 3, 4),
        create(SECOND, FIRST, 5, 6),
        info(PENDING, FIRST, 7, 8),
    ],
    "terms of what is settled": [
        settle(ONE, ONE, 1, 2),
        create(OVER, OVER, 3, 4),
        info(ONE, OVER, 5, 6),
    ],
    "a deadline that is over settles": [
        create(OVER, OVER, 1, 2),
        settle(ONE, NO, 3, 4),
        info(NO, OVER, 5, 6),
    ],
    "a settle that began before the deadline may win": [
        settle(ONE, ONE, 1, 4),
        create(OVER, OVER, 2, 3),
        peek(ONE, 5, 6),
    ],
    "a deadline that is far away settles nothing": [
        create(SECOND, SECOND, 1, 2),
        peek(PENDING, 3, 4),
    ],
    "others are told of terms that nobody acknowledged": [
        unknown(create(OVER, OVER, 1, 2)),
        wait(NO, 3, 4),
        create(FIRST, OVER, 5, 6),
    ],
    "other terms after a disposal": [
        create(FIRST, FIRST, 1, 2),
        dispose(3, 4),
        info(PENDING, None, 5, 6),
        create(SECOND, SECOND, 7, 8),
    ],
    "equal terms twice, and once more after a disposal": [
        create(FIRST, FIRST, 1, 5),
        create(FIRST, FIRST, 2, 9),
        dispose(6, 7),
        info(PENDING, FIRST, 8, 10),
    ],
}

IMPOSSIBLE = {
    "the last one wins": [settle(ONE, ONE, 1, 2), settle(TWO, TWO, 3, 4)],
    "both racers win": [settle(ONE, ONE, 1, 4), settle(TWO, TWO, 2, 3)],
    "the loser wins": [settle(ONE, TWO, 1, 2), settle(TWO, ONE, 1.5, 2.5)],
    "acknowledged and not there": [settle(ONE, ONE, 1, 2), peek(PENDING, 3, 4)],
    "there and gone": [
        settle(ONE, ONE, 1, 9),
        peek(ONE, 2, 3),
        peek(PENDING, 4, 5),
    ],
    "told before anybody settled": [peek(ONE, 1, 2), settle(ONE, ONE, 3, 4)],
    "told what nobody settled": [settle(ONE, ONE, 1, 2), peek(TWO, 3, 4)],
    "two waiters are told different things": [
        wait(ONE, 1, 8),
        wait(TWO, 1.5, 9),
        settle(ONE, ONE, 2, 5),
        settle(TWO, ONE, 3, 6),
    ],
    "back after its disposal": [
        settle(ONE, ONE, 1, 2),
        dispose(3, 4),
        peek(ONE, 5, 6),
    ],
    "never disposed of": [
        settle(ONE, ONE, 1, 2),
        dispose(3, 4),
        settle(TWO, ONE, 5, 6),
    ],
    "told of a disposal that was over before": [
        dispose(1, 2),
        wait(DISPOSED, 3, 5),
    ],
    "told of a disposal that came after": [wait(DISPOSED, 1, 2), dispose(3, 4)],
    "the former outcome for who came after": [
        settle(ONE, ONE, 1, 2),
        dispose(3, 4),
        wait(ONE, 5, 6),
    ],
    "the unknown happened twice": [
        unknown(settle(ONE, ONE, 1, 2)),
        peek(ONE, 3, 4),
        dispose(5, 6),
        peek(ONE, 7, 8),
    ],
    "the unknown happened before it began": [
        peek(ONE, 1, 2),
        unknown(settle(ONE, ONE, 3, 4)),
    ],
    "the last terms stand": [create(FIRST, FIRST, 1, 2), create(SECOND, SECOND, 3, 4)],
    "told of terms that nobody gave": [
        create(FIRST, FIRST, 1, 2),
        create(OVER, SECOND, 3, 4),
    ],
    "terms acknowledged and not there": [
        create(FIRST, FIRST, 1, 2),
        info(PENDING, None, 3, 4),
    ],
    "pending after its deadline": [create(OVER, OVER, 1, 2), peek(PENDING, 3, 4)],
    "settled after its deadline": [create(OVER, OVER, 1, 2), settle(ONE, ONE, 3, 4)],
    "a deadline that is far away settles": [
        create(SECOND, SECOND, 1, 2),
        peek(NO, 3, 4),
    ],
    "a deadline replaces the outcome": [
        settle(ONE, ONE, 1, 2),
        create(OVER, OVER, 3, 4),
        info(NO, OVER, 5, 6),
    ],
    "the deadline of terms that came second": [
        create(FIRST, FIRST, 1, 2),
        create(OVER, FIRST, 3, 4),
        peek(NO, 5, 6),
    ],
    "terms outlive their promise": [
        create(FIRST, FIRST, 1, 2),
        dispose(3, 4),
        create(SECOND, FIRST, 5, 6),
    ],
    "a deadline settles the next generation": [
        create(OVER, OVER, 1, 2),
        dispose(3, 4),
        peek(NO, 5, 6),
    ],
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_the_possible_is_accepted(name: str) -> None:
    """A sequential order that explains the answers is found."""
    assert check(POSSIBLE[name]) is Verdict.POSSIBLE


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_impossible_is_rejected(name: str) -> None:
    """A history without such an order is rejected."""
    assert check(IMPOSSIBLE[name]) is Verdict.IMPOSSIBLE


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_shortened_history_is_impossible(name: str) -> None:
    """The part of a history that is printed is impossible by itself."""
    noise = [peek(PENDING, 0.1, 0.2), unknown(settle(Resolved(b"9"), ONE, 9.1, 9.2))]
    part = shortest([*IMPOSSIBLE[name], *noise])

    assert check(part) is Verdict.IMPOSSIBLE
    assert len(part) <= len(IMPOSSIBLE[name])


def test_an_undecided_search_is_no_verdict() -> None:
    """A search that was given up is neither accepted nor rejected."""
    assert check(POSSIBLE["afresh after a disposal"], limit=1) is Verdict.UNDECIDED


# By the hundred -------------------------------------------------------------


def good_history(
    random: Random, operations: int = 50, clients: int = 7
) -> list[Operation]:
    """
    Return a history that some order explains, because it was made from one.

    Operations take effect one after another; each begins before its moment and
    ends after it, as far as its client allows.
    """
    events: list[Operation] = []
    state: Pending | Outcome[bytes] = PENDING
    free = [0.0] * clients
    waiting: list[tuple[float, int]] = []
    for moment in range(1, operations + 1):
        client = random.randrange(clients)
        began = random.uniform(max(free[client], moment - 3), moment)
        ended = random.uniform(moment, moment + 3)
        if began < free[client]:
            continue
        free[client] = ended
        kind = random.choices(["settle", "peek", "dispose", "wait"], [9, 9, 2, 5])[0]
        if kind == "settle":
            given = Resolved(b"%d" % moment)
            state = given if state == PENDING else state
            event = settle(given, state, began, ended)
        elif kind == "dispose":
            state = PENDING
            event = dispose(began, ended)
            for since, number in waiting:
                events.append(wait(DISPOSED, since, moment + number / 1e6))
            waiting.clear()
        elif kind == "peek" or state != PENDING:
            event = Operation(kind, state, began, ended)
        else:
            waiting.append((began, client))
            continue
        if random.random() < 0.1 and kind in ("settle", "dispose"):
            event = unknown(event)
        events.append(event)
    return events


def mutants(seed: int) -> Iterator[list[Operation]]:
    """Yield histories in which one answer is impossible."""
    random = Random(seed)  # noqa: S311 - repeatable
    history = good_history(random)
    known = [e for e in history if not e.is_unknown and e.operation != "dispose"]
    for operation in random.sample(known, min(3, len(known))):
        if operation.answer is not DISPOSED:
            rest = [other for other in history if other is not operation]
            yield [*rest, replace(operation, answer=Resolved(b"of nobody"))]
    # What was unknown could explain these, if it happened now.
    known = [operation for operation in history if not operation.is_unknown]
    last = max(operation.ended for operation in known)
    if check(known) is Verdict.POSSIBLE:
        after = [settle(TWO, TWO, last + 3, last + 4), peek(TWO, last + 5, last + 6)]
        yield [*known, peek(TWO, last + 1, last + 2), *after]
        yield [
            *known,
            dispose(last + 1, last + 2),
            *after,
            peek(ONE, last + 7, last + 8),
        ]
        yield [*known, dispose(last + 1, last + 2), wait(DISPOSED, last + 3, last + 4)]


def test_good_histories_are_accepted() -> None:
    """Five hundred histories made from an order are explained by one."""
    for seed in range(500):
        history = good_history(Random(seed))  # noqa: S311 - repeatable

        assert check(history) is Verdict.POSSIBLE, seed


def test_mutants_are_rejected() -> None:
    """At least 99 % of histories with one wrong answer are rejected."""
    verdicts = [check(mutant) for seed in range(200) for mutant in mutants(seed)]

    assert len(verdicts) > 500
    assert verdicts.count(Verdict.IMPOSSIBLE) >= 0.99 * len(verdicts)
