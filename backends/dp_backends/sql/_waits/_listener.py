"""`Listener`: how those who wait hear that something has changed."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

__all__ = ["Heard", "Listener"]


class Heard(Enum):
    """
    A report of a change.

    * `NOTHING`: There was none.
    * `PERHAPS`: Somebody is about to change something; it may not be seen yet.
    * `RUNG`: Something was changed, and can be seen.
    """

    NOTHING = auto()
    PERHAPS = auto()
    RUNG = auto()


class Listener(Protocol):
    """
    One who hears of changes, for the waits of one event loop.

    Attributes:
        pauses: First and longest pause between looks, in seconds, whatever is heard.
        pause: In how many seconds `read` is to be called at the latest; None for never.
    """

    @property
    def pauses(self) -> tuple[float, float]: ...

    @property
    def pause(self) -> float | None: ...

    def read(self) -> Heard:
        """Return what was heard since the last call; never waits."""

    async def wait(self) -> None:
        """Return when there may be something to hear, or never; may be cancelled."""

    def close(self) -> None:
        """Hear no more."""
