"""`DeadlineClock`: the clock of deadlines, which a test can move."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, final

from dp_core._clock import now, shift_clock
from dp_core._text import shown

__all__ = ["DeadlineClock"]


@final
class DeadlineClock:
    """
    A context manager in which a test moves the clock of deadlines, in no time.

    .. code-block:: python

        async def test_nobody_approves(deadline_clock):
            promise = await promises.create("a", deadline=timedelta(days=3))
            deadline_clock.advance(timedelta(days=3))
            with pytest.raises(dp.PromiseRejectedError, match="deadline passed"):
                await promise.get()

    The fixture ``deadline_clock`` of our pytest plugin is one. It is the clock of this
    process only, for stores that it runs itself: ``memory:``, ``file:``, ``sqlite:``.
    Waiters are told at once. Outside of the block the clock is the system's.
    """

    def __init__(self) -> None:
        self._before: timedelta | None = None
        self._shift = timedelta()

    @property
    def now(self) -> datetime:
        """The time by which deadlines settle promises, in UTC."""
        return now()

    def advance(self, by: timedelta) -> None:
        """
        Move the clock on; back where *by* is negative.

        Raises:
            RuntimeError: Outside of the block.
            TypeError: *by* is anything but a length of time.
        """
        if not isinstance(by, timedelta):
            raise TypeError(
                f"{shown(by)} is not a valid length of time; write a timedelta, such "
                "as timedelta(days=3)"
            )
        if self._before is None:
            raise RuntimeError(
                "the clock moves only in its block: with DeadlineClock()"
            )
        self._shift += by
        shift_clock(self._before + self._shift)

    def __enter__(self) -> Self:
        self._shift = timedelta()
        self._before = shift_clock(timedelta())
        shift_clock(self._before)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            shift_clock(self._before)
            self._before = None
