"""
`Scenario` and `Belief`: the steps of a process, and the states they may leave.

Nobody knows whether the last step of a killed process took effect. So a promise
has a *belief*: the set of all states in which it may be. An acknowledged step
narrows it, an unacknowledged one widens it, and a state outside of it breaks a
law.

The rules here are independent of `dp_core.transition`: a proof must not use the
code that it proves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, final

from dp_core import Pending, Rejected, Resolved, State

__all__ = [
    "SCENARIOS",
    "Belief",
    "Scenario",
    "Step",
    "acknowledged",
    "answers",
    "done",
    "unacknowledged",
]

Belief = frozenset[State[Any]]
"""All states in which a promise may be."""


@final
@dataclass(frozen=True, slots=True)
class Step:
    """
    One operation on one promise.

    Attributes:
        do: ``peek``, ``resolve``, ``reject``, ``dispose``, or ``expire``: create it
            with a deadline that is over, which resolves it with the value. Anything
            else is an operation of your own child program, which must not change
            the state of any promise.
        promise: The name of the promise in the scenario.
        value: The value or error to settle with.
        may_fail: Whether the process goes on after an error of this step.
    """

    do: str
    promise: str = "one"
    value: str = ""
    may_fail: bool = False


@final
@dataclass(frozen=True, slots=True)
class Scenario:
    """
    Steps of a process that is killed at every system call.

    Attributes:
        name: Its name in reports.
        steps: The steps of the process.
        before: Steps that were acknowledged before.
        prepare: Called after `before`, with the store's URL and the prefix of
            all ids; sets up what only the backend's own code can.
        begun: The steps that *prepare* left half done: they may have taken
            effect or not.
        done: The steps that *prepare* has done: they have taken effect.
        fresh: Whether each kill has a store of its own, which does not exist yet.
    """

    name: str
    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    prepare: Callable[[str, str], object] | None = None
    begun: tuple[Step, ...] = ()
    done: tuple[Step, ...] = ()
    fresh: bool = False

    @property
    def promises(self) -> tuple[str, ...]:
        """The names of its promises, sorted."""
        steps = (*self.before, *self.begun, *self.done, *self.steps)
        return tuple(sorted({step.promise for step in steps}))


def answers(step: Step) -> bool:
    """Return whether the result of the step is the state of the promise."""
    return step.do in {"peek", "resolve", "reject"}


def _after(step: Step, state: State[Any]) -> State[Any]:
    """Return the state after a step."""
    match step.do:
        case "resolve" | "expire" if isinstance(state, Pending):
            return Resolved(step.value)
        case "reject" if isinstance(state, Pending):
            return Rejected(step.value)
        case "dispose":
            return Pending()
        case _:
            return state


def acknowledged(belief: Belief, step: Step, answer: State[Any]) -> Belief:
    """Return the belief after a step that returned; empty if it cannot be."""
    after = done(belief, step)
    return after & {answer} if answers(step) else after


def done(belief: Belief, step: Step) -> Belief:
    """Return the belief after a step that has taken effect."""
    return frozenset(_after(step, state) for state in belief)


def unacknowledged(belief: Belief, steps: Iterable[Step]) -> Belief:
    """Return the belief after steps that may have taken effect or not."""
    for step in steps:
        belief |= {_after(step, state) for state in belief}
    return belief


_WIN: Final = Step("resolve", value="the first")
_LATE: Final = Step("resolve", value="too late")
_PEEK: Final = Step("peek")
_DISPOSE: Final = Step("dispose")

SCENARIOS: Final = (
    Scenario("open a new store", (_PEEK,), fresh=True),
    Scenario("settle in a new store", (_WIN, _PEEK), fresh=True),
    Scenario("resolve", (_PEEK, _WIN, _PEEK)),
    Scenario("reject", (Step("reject", value="no"), _PEEK)),
    Scenario("lose to a value", (_LATE, _PEEK), before=(_WIN,)),
    Scenario(
        "lose to a rejection", (_LATE, _PEEK), before=(Step("reject", value="no"),)
    ),
    Scenario("dispose of a pending one", (_DISPOSE, _PEEK)),
    Scenario("dispose of a settled one", (_DISPOSE, _PEEK), before=(_WIN,)),
    Scenario("settle after a disposal", (_LATE, _PEEK), before=(_WIN, _DISPOSE)),
    Scenario(
        "two generations in one life",
        (_WIN, _DISPOSE, _LATE, _DISPOSE, _PEEK),
    ),
    Scenario(
        "settle two",
        (_WIN, Step("reject", "two", "no"), Step("peek", "two")),
    ),
)
"""The scenarios that any durable backend must survive."""
