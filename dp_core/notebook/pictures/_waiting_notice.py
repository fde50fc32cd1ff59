"""`WaitingNotices`: a line in the cell that says which promise it waits for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, final

from dp_core._safe_text import without_password
from dp_core.notebook._journal import JournalEvent, PromiseKey
from dp_core.notebook.pictures._cell_output import LiveOutput, bundle
from dp_core.notebook.pictures._look import shown

__all__ = ["WaitingNotices"]

_AFTER: Final = 1.0
"""Seconds that a cell waits until it says so."""


@final
@dataclass
class _Notice:
    """The waits of this notebook for one promise, and the line about them."""

    timer: asyncio.TimerHandle
    output: LiveOutput = field(default_factory=LiveOutput)
    waits: int = 1
    began: float = field(default_factory=time.monotonic)


@final
class WaitingNotices:
    """The lines about all promises for which this notebook waits."""

    def __init__(self) -> None:
        self._notices: dict[PromiseKey, _Notice] = {}

    def hear(self, event: JournalEvent) -> None:
        """Take in an event of the notebook's own process."""
        if event.kind == "awaiting":
            self._begin(event)
        elif event.kind in ("got", "left"):
            self._end(event)

    def _begin(self, event: JournalEvent) -> None:
        if event.key in self._notices:
            self._notices[event.key].waits += 1
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Under trio the notebook's own loop stands still meanwhile.
            return
        timer = loop.call_later(_AFTER, self._show, event)
        self._notices[event.key] = _Notice(timer)

    def _show(self, event: JournalEvent) -> None:
        self._notices[event.key].output.show(
            bundle(
                f"… this cell waits for {_name(event)}. Stop interrupts it, "
                "and leaves the promise as it is."
            )
        )

    def _end(self, event: JournalEvent) -> None:
        notice = self._notices.get(event.key)
        if notice is None:
            return
        notice.waits -= 1
        if notice.waits:
            return
        del self._notices[event.key]
        notice.timer.cancel()
        took = time.monotonic() - notice.began
        if took > _AFTER:
            notice.output.show(bundle(f"waited {took:.1f} s for {_name(event)}"))


def _name(event: JournalEvent) -> str:
    return f"'{shown(event.id)}' at {shown(without_password(event.store))}"
