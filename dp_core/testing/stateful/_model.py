"""`PromiseModel`: what promises are to be, as a few dicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import final

from dp_core._states import Outcome, Pending, State
from dp_core._terms import PromiseInfo, StateName, Terms, state_name

__all__ = ["PromiseModel"]


@final
class PromiseModel:
    """
    Promises by their ids. It shares nothing with `dp_core.transition`.

    Attributes:
        moment: The time.
        is_in_order: Whether the time was never set back: a store of many writers may
            know by it alone who came first.
    """

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)
        self.is_in_order = True
        self._outcomes: dict[str, Outcome[bytes]] = {}
        self._terms: dict[str, Terms[bytes]] = {}
        self._expired: set[str] = set()
        # A dict, because it keeps the order in which they were first heard of.
        self._heard_of: dict[str, None] = {}

    def is_settled(self, id: str) -> bool:
        """Return whether a promise has an outcome."""
        return id in self._outcomes

    def state(self, id: str) -> State[bytes]:
        """Return the state of a promise."""
        return self._outcomes.get(id, Pending())

    def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        """Keep the first outcome, and return it."""
        self._heard_of.setdefault(id)
        return self._outcomes.setdefault(id, outcome)

    def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Keep the first terms, and return them; a deadline may be over."""
        self._heard_of.setdefault(id)
        first = self._terms.setdefault(id, terms)
        self._expire()
        return first

    def dispose(self, id: str) -> None:
        """Forget a promise."""
        for kept in (self._outcomes, self._terms, self._heard_of):
            kept.pop(id, None)
        self._expired.discard(id)

    def move(self, time: timedelta) -> None:
        """Move the time on, or back: deadlines settle, and what is settled stays."""
        self.is_in_order &= time > timedelta()
        self.moment += time
        self._expire()

    def info(self, id: str, told: PromiseInfo[bytes]) -> PromiseInfo[bytes]:
        """
        Return all that is known about a promise.

        Args:
            id: The promise.
            told: What the store says of it. A clock has said when things were; the
                model knows only whether they were.
        """
        return PromiseInfo(
            id,
            self.state(id),
            self._terms.get(id),
            told.created_at if id in self._terms else None,
            told.settled_at if id in self._outcomes else None,
            expired=id in self._expired,
            cursor=told.cursor if id in self._heard_of else None,
        )

    def listed(self, state: StateName | None, *, newest: bool) -> list[str]:
        """Return the ids of the promises in a state, or of all."""
        ids = [
            id for id in self._heard_of if state in (None, state_name(self.state(id)))
        ]
        return ids[::-1] if newest else ids

    def _expire(self) -> None:
        """Let the deadlines that are over settle what is pending."""
        for id, terms in self._terms.items():
            deadline, otherwise = terms.deadline, terms.otherwise
            if id in self._outcomes or deadline is None or otherwise is None:
                continue
            if deadline <= self.moment:
                self._outcomes[id] = otherwise
                self._expired.add(id)
