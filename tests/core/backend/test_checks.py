"""`Check`, `compare_clocks` and `each_in_thread`: the parts of a diagnosis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

import dp_core
from dp_core import BackendUnavailableError
from dp_core.backend import Check, Checkable, compare_clocks, each_in_thread


def test_whatever_is_not_ok_has_an_advice() -> None:
    """A check without one, or of another status, is a mistake of who wrote it."""
    for status in ("warning", "problem"):
        with pytest.raises(ValueError, match="lacks an advice"):
            Check("disk", status, "it is full")
    with pytest.raises(ValueError, match="'bad' is not a valid status"):
        Check("disk", "bad", "it is full", "free some space")  # type: ignore[arg-type] # on purpose

    assert "" == Check("disk", "ok", "it has room").advice


def test_an_error_is_a_problem_and_what_to_do() -> None:
    """Its text is parted where our errors begin to say what to do."""
    parted = Check.failed("disk", BackendUnavailableError("full; free it; now"), "x")
    whole = Check.failed("disk", BackendUnavailableError("full"), "look")

    assert Check("disk", "problem", "full", "free it; now") == parted
    assert Check("disk", "problem", "full", "look") == whole


@pytest.mark.parametrize(
    ("ahead", "took", "precision", "status"),
    [
        (0, 0, 0, "ok"),
        (4.9, 0, 0, "ok"),
        (5.1, 0, 0, "warning"),
        (-5.1, 0, 0, "warning"),
        (5.1, 1, 0, "ok"),
        (-5.1, 0, 1, "ok"),
        (-6.1, 0, 1, "warning"),
    ],
)
def test_clocks_differ_where_that_is_sure(
    ahead: float, took: float, precision: float, status: str
) -> None:
    """Neither the way of the answer nor a clock of whole seconds makes a difference."""
    before = datetime(2026, 1, 1, tzinfo=UTC)
    after = before + timedelta(seconds=took)
    said = before + timedelta(seconds=took / 2 + ahead)
    check = compare_clocks(said, before, after, timedelta(seconds=precision))

    assert status == check.status
    if status == "warning":
        assert ("ahead of" if ahead > 0 else "behind") in check.text


async def test_what_blocks_is_asked_in_another_thread() -> None:
    """One item after the other, until there are no more, or one raises."""

    def items() -> Iterator[threading.Thread]:
        yield threading.current_thread()
        yield threading.current_thread()
        raise BackendUnavailableError("the disk is gone")

    told = each_in_thread(items())
    found = [await anext(told), await anext(told)]
    with pytest.raises(BackendUnavailableError, match="gone"):
        await anext(told)

    assert threading.current_thread() not in found


@pytest.mark.parametrize(
    "url", ["memory:", "file:x", "http://h", "sqlite:x.db", "postgresql://h/x"]
)
def test_our_backends_have_checks(url: str) -> None:
    """All of them, by the protocol that backends of others may have, too."""
    assert isinstance(dp_core.connect(url).backend, Checkable)


async def test_memory_says_who_sees_it() -> None:
    """Nobody else does, and it ends with the process: that is a warning."""
    backend = dp_core.connect("memory:").backend
    assert isinstance(backend, Checkable)

    (check,) = [check async for check in backend.check()]
    assert ("warning", True) == (check.status, "this process alone" in check.text)
