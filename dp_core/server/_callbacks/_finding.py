"""
`Finding`: looks for deliveries that others have made.

What this server makes itself it knows at once. What other processes make in the store
is found by a question in a while, which takes at most a hundredth of the time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final, final

import anyio

from dp_core._errors import BackendClosedError, NotSupportedError
from dp_core._outbox import DELIVERIES
from dp_core._terms import PromiseInfo, Query
from dp_core._text import quoted
from dp_core.backend import Registry
from dp_core.server._observing import Notices

__all__ = ["Finding"]

_QUERY: Final = Query(state="pending", tags=DELIVERIES)
_LIMIT: Final = 1000

_PAUSES: Final = (5.0, 300.0)
"""The shortest and the longest time between two looks, in seconds."""

_PART: Final = 100
"""A look takes this part of the time at most."""

_BEHIND_SECONDS: Final = 60.0
"""The age of the place behind which a look begins.

Of several who write to a store one may come to the place before that of another.
"""

_WHOLE_SECONDS: Final = 600.0
"""The time after which a look begins at the first place."""


@final
class Finding:
    """
    Finds unfinished deliveries.

    Args:
        registry: The store.
        found: Is called with each of them, again and again.
        notices: The log.
    """

    def __init__(
        self,
        registry: Registry,
        found: Callable[[PromiseInfo[bytes]], None],
        notices: Notices,
    ) -> None:
        self._registry = registry
        self._found = found
        self._notices = notices
        # The last place of each look, and when that was.
        self._places: deque[tuple[float, str]] = deque()
        self._whole = -_WHOLE_SECONDS

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            begin = monotonic()
            try:
                await self._look(begin)
            except (NotSupportedError, BackendClosedError):
                return
            except Exception as error:  # noqa: BLE001 - a bug must not end the server
                reason = quoted(str(error), 1000)
                self._notices.tell(
                    ("callbacks", type(error)),
                    partial("callbacks are not found: {}".format, reason),
                    logging.ERROR,
                )
            shortest, longest = _PAUSES
            pause = _PART * (monotonic() - begin)
            await anyio.sleep(min(max(pause, shortest), longest))

    async def _look(self, now: float) -> None:
        after: str | None = None
        is_whole = now - self._whole >= _WHOLE_SECONDS
        while len(self._places) > 1 and now - self._places[1][0] >= _BEHIND_SECONDS:
            self._places.popleft()
        if not is_whole and self._places:
            when, place = self._places[0]
            after = place if now - when >= _BEHIND_SECONDS else None
        last: str | None = None
        while True:
            page = await self._registry.list(_QUERY, after, _LIMIT)
            for info in page.infos:
                self._found(info)
                last = info.cursor
            if page.after in {None, after}:
                break
            after = page.after
        if last is not None:
            self._places.append((now, last))
        if is_whole:
            self._whole = now
