"""`Waiters`: those who wait for promises, by the keys of these."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar, final

__all__ = ["Waiters"]

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


@final
class Waiters(Generic[K, W]):
    """
    Those who wait, by what they wait for; most keys have one of them.

    ``len()`` is the number of keys, and iterating gives them; as with a dict, not while
    they change.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        # One that is alone has no container, which would be larger than itself.
        self._waiters: dict[K, W | _Several[W]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[K]:
        return iter(self._waiters)

    def __contains__(self, key: object) -> bool:
        return key in self._waiters

    def add(self, key: K, waiter: W) -> None:
        """Add one to those of a key."""
        present = self._waiters.setdefault(key, waiter)
        if isinstance(present, _Several):
            present[waiter] = None
        elif present is not waiter:
            self._waiters[key] = _Several({present: None, waiter: None})

    def discard(self, key: K, waiter: W) -> bool:
        """Remove one of a key; tell whether the key has none then."""
        present = self._waiters.get(key)
        if isinstance(present, _Several):
            present.pop(waiter, None)
            if present:
                return False
            del self._waiters[key]
        elif present is waiter:
            del self._waiters[key]
        return key not in self._waiters

    def of(self, key: K) -> tuple[W, ...]:
        """Return those of a key, in the order in which they came."""
        present = self._waiters.get(key)
        if present is None:
            return ()
        return tuple(present) if isinstance(present, _Several) else (present,)

    def pop(self, key: K) -> tuple[W, ...]:
        """Return those of a key, and forget them."""
        waiters = self.of(key)
        self._waiters.pop(key, None)
        return waiters

    def all(self) -> list[W]:
        """Return those of all keys."""
        return [waiter for key in self._waiters for waiter in self.of(key)]

    def clear(self) -> None:
        """Forget all of them."""
        self._waiters.clear()


class _Several(dict[W, None]):
    """Waiters of one key."""

    __slots__ = ()
