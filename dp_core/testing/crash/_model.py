"""
What a process does before it is killed, and what may be there afterwards.

The one who watches a process be killed does not know whether its last step
took effect. So what is known of a promise is a *belief*: the set of all states
it may be in. An acknowledged step narrows it, an unacknowledged one widens it,
and a state that is found outside of it is a broken promise.

The rules are written down here once more, apart from `dp_core.transition`,
because a proof must not lean on what it proves.
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
    "unacknowledged",
]

Belief = frozenset[State[Any]]
"""All states a promise may be in."""


@final
@dataclass(frozen=True, slots=True)
class Step:
    """
    One operation on one promise.

    Attributes:
        do: ``peek``, ``resolve``, ``reject`` or ``dispose``. Anything else is
            an operation of your own child program, which must not change what
            any promise is.
        promise: Which promise of the scenario.
        value: What it is resolved or rejected with.
    """

    do: str
    promise: str = "one"
    value: str = ""


@final
@dataclass(frozen=True, slots=True)
class Scenario:
    """
    What a process does while it is killed at every system call.

    Attributes:
        name: What the report calls it.
        steps: What the process does.
        before: What was done, and acknowledged, before.
        prepare: Called after `before`, with the store's URL and what all ids
            begin with; for what only a backend's own code can set up.
        begun: The steps that *prepare* left in the middle: what they did may
            be there or not.
        fresh: Whether each kill gets a store of its own, which is not there yet.
    """

    name: str
    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    prepare: Callable[[str, str], object] | None = None
    begun: tuple[Step, ...] = ()
    fresh: bool = False

    @property
    def promises(self) -> tuple[str, ...]:
        """Which promises it is about, sorted."""
        steps = (*self.before, *self.begun, *self.steps)
        return tuple(sorted({step.promise for step in steps}))


def answers(step: Step) -> bool:
    """Tell whether the step's answer says what state the promise is in."""
    return step.do in {"peek", "resolve", "reject"}


def _after(step: Step, state: State[Any]) -> State[Any]:
    """Return what a step makes of a state."""
    match step.do:
        case "resolve" if isinstance(state, Pending):
            return Resolved(step.value)
        case "reject" if isinstance(state, Pending):
            return Rejected(step.value)
        case "dispose":
            return Pending()
        case _:
            return state


def acknowledged(belief: Belief, step: Step, answer: State[Any]) -> Belief:
    """Return the belief after a step that answered; empty if it cannot be."""
    after = frozenset(_after(step, state) for state in belief)
    return after & {answer} if answers(step) else after


def unacknowledged(belief: Belief, steps: Iterable[Step]) -> Belief:
    """Return the belief after steps of which nobody knows whether they were."""
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
"""What any durable backend must survive."""
