"""`WaitingHandles`: the handles whose promises are waited for; their ends end waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, final

from dp_backends.file._store import FileStore
from dp_core.backend import Closable

__all__ = ["WaitingHandles"]

_EndWaits: TypeAlias = Callable[[FileStore, Exception], None]


@final
class WaitingHandles:
    """
    Handles, and how many wait by each.

    A handle is known as long as somebody waits by it, and no longer.
    """

    def __init__(self) -> None:
        self._waits: Counter[FileStore] = Counter()
        self._ends: dict[FileStore, tuple[Closable, Callable[[], None]]] = {}

    def enter(self, store: FileStore, life: Closable | None, end: _EndWaits) -> None:
        """
        Let one more wait by a handle.

        Args:
            store: The store of the handle.
            life: Its life; None where it has no end.
            end: Ends all waits of the handle.

        Raises:
            BackendClosedError: It is over.
        """
        if life is not None:
            life.check_open()
            if store not in self._ends:
                ending = partial(end, store, life.closed())
                life.add(ending)
                self._ends[store] = life, ending
        self._waits[store] += 1

    def leave(self, store: FileStore) -> None:
        """Let one wait no longer."""
        self._waits[store] -= 1
        if not self._waits[store]:
            del self._waits[store]
            if store in self._ends:
                life, ending = self._ends.pop(store)
                life.discard(ending)
