"""The state machine: the table, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dp_core as dp
from dp_core import (
    SETTLED,
    TRANSITIONS,
    Dispose,
    Pending,
    PromiseRejectedError,
    Reject,
    Rejected,
    Resolve,
    Resolved,
    settle_command,
    transition,
)

values = st.binary(max_size=8)
messages = st.text(max_size=8)
settlements = st.one_of(st.builds(Resolve, values), st.builds(Reject, messages))
commands = st.one_of(settlements, st.just(Dispose()))
outcomes = st.one_of(st.builds(Resolved, values), st.builds(Rejected, messages))
states = st.one_of(outcomes, st.just(Pending()))


PENDING: Final = dp.Pending()


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (partial(dp.Resolved[int], 5), dp.Resolved(5)),
        (dp.Terms[bytes], dp.Terms()),
        (partial(dp.PromiseInfo[int], "a", PENDING), dp.PromiseInfo("a", PENDING)),
    ],
)
def test_a_type_may_be_named_in_a_call(made: Callable[[], Any], plain: Any) -> None:
    """And what is made is frozen as ever."""
    instance = made()
    assert plain == instance
    with pytest.raises(AttributeError, match="cannot assign"):
        setattr(instance, instance.__match_args__[0], 1)


def test_the_table_is_total() -> None:
    """Every state has a row, and every row answers every command."""
    kinds = {Pending, Resolved, Rejected}

    assert kinds == set(TRANSITIONS)
    for row in TRANSITIONS.values():
        assert {Resolve, Reject, Dispose} == set(row)
        assert set(row.values()) <= kinds


def test_the_table_cannot_be_changed() -> None:
    """Nobody can redefine the machine at run time."""
    with pytest.raises(TypeError):
        TRANSITIONS[Pending] = {}  # type: ignore[index] # it must be refused


@given(values, messages)
def test_a_pending_promise_takes_the_first_settle(value: bytes, error: str) -> None:
    """From pending, Resolve leads to its value and Reject to its message."""
    assert Resolved(value) == transition(Pending(), Resolve(value))
    assert Rejected(error) == transition(Pending(), Reject(error))


@given(outcomes, st.lists(settlements, max_size=8))
def test_outcomes_absorb_completions(outcome: Any, later: list[Any]) -> None:
    """However many completions follow, the very same outcome stands."""
    state = outcome
    for command in later:
        state = transition(state, command)

    assert state is outcome


@given(states)
def test_dispose_leads_back_to_pending(state: Any) -> None:
    """Dispose forgets whatever there was."""
    assert Pending() == transition(state, Dispose())


@given(st.lists(commands, max_size=12))
def test_the_first_completion_after_the_last_disposal_stands(
    history: list[Any],
) -> None:
    """A whole history comes down to one rule, stated here without the table."""
    state: Any = Pending()
    for command in history:
        state = transition(state, command)

    recent = history
    while Dispose() in recent:
        recent = recent[recent.index(Dispose()) + 1 :]
    match recent:
        case [Resolve(value), *_]:
            assert Resolved(value) == state
        case [Reject(error), *_]:
            assert Rejected(error) == state
        case _:
            assert Pending() == state


@given(states, settlements)
def test_repeating_a_completion_changes_nothing(state: Any, command: Any) -> None:
    """A completion is idempotent, so that whoever is in doubt may repeat it."""
    once = transition(state, command)

    assert once == transition(once, command)


@given(outcomes)
def test_the_settle_command_leads_to_its_outcome(outcome: Any) -> None:
    """What a backend is asked to settle is what a pending promise becomes."""
    assert outcome == transition(Pending(), settle_command(outcome))


@pytest.mark.parametrize("stranger", [None, b"x", Pending, "resolved"])
def test_strangers_are_refused(stranger: Any) -> None:
    """What is no state, command or outcome is an error and never a guess."""
    with pytest.raises(TypeError, match="no transition"):
        transition(stranger, Dispose())
    with pytest.raises(TypeError, match="no transition"):
        transition(Pending(), stranger)
    with pytest.raises(TypeError, match="not an outcome"):
        settle_command(stranger)


def test_unwrap_returns_the_value_or_raises() -> None:
    """`Outcome.unwrap` does what `get` does."""
    assert b"1" == Resolved(b"1").unwrap()
    with pytest.raises(PromiseRejectedError, match=r"^no$") as caught:
        Rejected("no").unwrap()

    assert "no" == caught.value.error


@pytest.mark.parametrize("empty", [None, False, 0, "", b"", [], {}], ids=repr)
def test_no_value_is_mistaken_for_pending(empty: Any) -> None:
    """None and the falsy values are values like any other."""
    assert Resolved(empty) != Pending()
    assert Resolved(empty) == Resolved(empty)
    assert empty == Resolved(empty).unwrap()


@given(states)
def test_states_are_values(state: Any) -> None:
    """They compare by content and cannot be changed."""
    assert state == copy(state)
    assert isinstance(state, SETTLED) == (state != Pending())
    # TypeError: CPython 3.11 mixes up "frozen" and "slots" of a dataclass.
    with pytest.raises((AttributeError, TypeError)):
        state.value = state.error = 1
