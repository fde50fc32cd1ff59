"""Say for what a cell waits, before the reader wonders whether it hangs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, final

from dp_core._display import shortened, visible
from dp_core.notebook._journal import Event, Key
from dp_core.notebook._screen import Screen, bundle

__all__ = ["Patience"]

_SECONDS: Final = 1.0


@final
@dataclass
class _Notice:
    timer: asyncio.TimerHandle
    screen: Screen = field(default_factory=Screen)
    waits: int = 1
    begun: float = field(default_factory=time.monotonic)


@final
class Patience:
    """Shows a line in the cell for each promise that it awaits for longer."""

    def __init__(self) -> None:
        self._notices: dict[Key, _Notice] = {}

    def hear(self, event: Event) -> None:
        """Listen to what this notebook's own promises report."""
        if event.kind == "awaiting":
            self._wait(event)
        elif event.kind in ("got", "left"):
            self._end(event)

    def _wait(self, event: Event) -> None:
        if event.key in self._notices:
            self._notices[event.key].waits += 1
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Under trio the notebook's own loop stands still meanwhile.
            return
        timer = loop.call_later(_SECONDS, self._say, event)
        self._notices[event.key] = _Notice(timer)

    def _say(self, event: Event) -> None:
        self._notices[event.key].screen.show(
            bundle(
                f"… this cell waits for {_name(event)}. Stop interrupts it, "
                "and leaves the promise as it is."
            )
        )

    def _end(self, event: Event) -> None:
        notice = self._notices.get(event.key)
        if notice is None:
            return
        notice.waits -= 1
        if notice.waits:
            return
        del self._notices[event.key]
        notice.timer.cancel()
        took = time.monotonic() - notice.begun
        if took > _SECONDS:
            notice.screen.show(bundle(f"waited {took:.1f} s for {_name(event)}"))


def _name(event: Event) -> str:
    id = shortened(visible(event.id), 60)
    return f"'{id}' at {shortened(visible(event.store), 60)}"
