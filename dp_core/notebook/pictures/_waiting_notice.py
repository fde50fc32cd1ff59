"""`WaitingNotices`: a line in the cell that says which promises it waits for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, final

from dp_core._text import without_password
from dp_core.notebook._journal import JournalEvent, PromiseKey
from dp_core.notebook.pictures._cell_output import LiveOutput, bundle
from dp_core.notebook.pictures._look import several, shown

__all__ = ["WaitingNotices"]

_AFTER: Final = 1.0
"""Seconds that a cell waits until it says so."""


@final
@dataclass
class _Notice:
    """Waits of this notebook that began in the same turn, and the line about them."""

    loop: asyncio.AbstractEventLoop
    output: LiveOutput = field(default_factory=LiveOutput)
    keys: dict[PromiseKey, None] = field(default_factory=dict)
    left: Counter[PromiseKey] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.timer = self.loop.call_later(_AFTER, self._show)

    def add(self, key: PromiseKey) -> None:
        self.keys[key] = None
        self.left[key] += 1

    def remove(self, key: PromiseKey) -> None:
        self.left[key] -= 1
        if not self.left[key]:
            del self.left[key]
        if not self.left:
            self.timer.cancel()
            took = time.monotonic() - self.began
            if took > _AFTER:
                self.output.show(bundle(f"waited {took:.1f} s for {self._names}"))

    def _show(self) -> None:
        left = "the promise as it is" if len(self.keys) == 1 else "them as they are"
        self.output.show(
            bundle(
                f"… this cell waits for {self._names}. Stop interrupts it, "
                f"and leaves {left}."
            )
        )

    @property
    def _names(self) -> str:
        stores = {shown(without_password(store)) for store, _ in self.keys}
        place = (
            f" at {stores.pop()}" if len(stores) == 1 else f" in {len(stores)} stores"
        )
        return several(id for _, id in self.keys) + place


@final
class WaitingNotices:
    """The lines about all promises for which this notebook waits."""

    def __init__(self) -> None:
        self._notices: dict[PromiseKey, _Notice] = {}
        self._of_this_turn: _Notice | None = None

    def hear(self, event: JournalEvent) -> None:
        """Take in an event of the notebook's own process."""
        if event.kind == "awaiting":
            self._begin(event.key)
        elif event.kind in ("got", "left"):
            self._end(event.key)

    def _begin(self, key: PromiseKey) -> None:
        notice = self._notices.get(key) or self._of_this_turn
        if notice is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                # Under trio the notebook's own loop stands still meanwhile.
                return
            # Who waits for thousands at once gets one line, not thousands.
            notice = self._of_this_turn = _Notice(loop)
            loop.call_soon(self._end_turn)
        self._notices[key] = notice
        notice.add(key)

    def _end_turn(self) -> None:
        self._of_this_turn = None

    def _end(self, key: PromiseKey) -> None:
        notice = self._notices.get(key)
        if notice is None:
            return
        notice.remove(key)
        if key not in notice.left:
            del self._notices[key]
        if not notice.left and notice is self._of_this_turn:
            self._of_this_turn = None
