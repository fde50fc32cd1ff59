"""
`Changes`: says to all who look at a list that it may have changed.

What this server does itself is noted as it is done, which costs a number. What others
do to the store is found by asking for the lists that are looked at, a few seconds
apart, and further apart where that takes long: once for all who look at the same, by
one of them.

Who is told asks for the list again. So the more look, the less often each is told, but
twice a minute at least.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import Final, final

import anyio
from starlette.types import Send

from dp_core._errors import DurablePromiseError, ProtocolError
from dp_core._terms import Page
from dp_core.server._guarding import ClientGoneError
from dp_core.server._routing import AdmittedRequest, Header
from dp_core.server._waiting import _holding
from dp_core.server._waiting._event_stream import COMMENT_SECONDS, STREAM_HEADERS
from dp_core.server._waiting._holding import Places
from dp_core.wire import List, write_comment

__all__ = ["Changes", "digest_of"]

PAUSE: Final = 1.0
"""Seconds between two events of a stream, at least."""

MAX_PAUSE: Final = 28.0
"""Seconds between two events of a stream, at most, however many look."""

VIEWERS_A_SECOND: Final = 50
"""The most who are told, and ask again, in a second, about."""

ASK_SECONDS: Final = 4.0
"""Seconds between two questions to the store, at least."""

MAX_ASK_SECONDS: Final = 28.0
"""Seconds between two questions to the store, at most."""

ASK_PART: Final = 20
"""Pause between two questions, in times of what the last one took."""

MOST_VIEWS: Final = 20
"""The most lists that are asked for; who looks at others is told each time."""


def digest_of(page: Page) -> str:
    """Return a text that is another one where a list has changed."""
    hashed = sha256()
    for info in page.infos:
        seen = (info.id, info.cursor, info.state, info.created_at, info.settled_at)
        hashed.update(repr((*seen, info.settled_by)).encode(errors="replace"))
    hashed.update(repr((page.after, [id for id, _ in page.failures])).encode())
    return hashed.hexdigest()[:16]


@dataclass(eq=False, slots=True)
class _ListInView:
    """
    A list that somebody looks at.

    Attributes:
        viewers: How many do.
        digest: That of the list, when it was asked for; empty before that.
    """

    viewers: int = 0
    digest: str = ""


@dataclass(eq=False, slots=True)
class _Viewer:
    """
    A stream of one who looks.

    Attributes:
        view: The list.
        number: How often something had been done when they were told last.
        digest: That of the list that they have.
        rests_until: The time of the event loop before which they are told nothing.
        leads: Set when they begin to ask for all.
    """

    view: _ListInView
    number: int
    digest: str
    rests_until: float = 0.0
    leads: anyio.Event = field(default_factory=anyio.Event)


@final
@dataclass(eq=False, slots=True)
class Changes:
    """
    Changes of one store.

    Attributes:
        list_page: Returns a list.
        places: The requests that are held.
        send_seconds: The longest time for which a client may read nothing.
    """

    list_page: Callable[[List], Awaitable[Page]]
    places: Places
    send_seconds: float
    # Of this server's life: numbers begin anew with the next.
    _epoch: str = field(default_factory=lambda: token_hex(4))
    _number: int = 0
    _is_waited_for: bool = False
    _bell: anyio.Event = field(default_factory=anyio.Event)
    _views: dict[List, _ListInView] = field(default_factory=dict)
    _viewers: dict[_Viewer, None] = field(default_factory=dict)
    _ask_at: float = 0.0
    _spare: _ListInView = field(default_factory=_ListInView)

    def note(self) -> None:
        """Take note that something was done."""
        self._number += 1
        if self._is_waited_for:
            self._ring()

    @property
    def number(self) -> int:
        """Count of what was done."""
        return self._number

    def seen(self, page: Page, number: int) -> str:
        """
        Return what a reader of a list has seen, for `stream`.

        Args:
            page: The list.
            number: How often something had been done before it was asked for.
        """
        return f"{self._epoch}.{number}.{digest_of(page)}"

    async def stream(
        self,
        call: List,
        seen: str,
        request: AdmittedRequest,
        headers: tuple[Header, ...],
    ) -> None:
        """
        Answer by a stream of an event each time that a list may have changed.

        Args:
            call: The list.
            seen: What its reader has seen.
            request: The request to answer.
            headers: What else to say in the head.

        Raises:
            ProtocolError: There is no place, and nothing was sent.
            ClientGoneError: The client went away, or reads nothing.
        """
        has_begun, send = False, request.send

        async def begin() -> None:
            nonlocal has_begun
            has_begun = True
            head = [*headers, *STREAM_HEADERS]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await self._tell(viewer, call, send)

        viewer = self._enter(call, seen)
        try:
            with anyio.move_on_after(_holding.HELD_SECONDS):
                await self.places.hold(request.receive, begin, request.access)
        except ProtocolError:
            if not has_begun:
                raise
        finally:
            self._leave(viewer, call)
        with anyio.move_on_after(self.send_seconds):
            await send({"type": "http.response.body", "body": b""})

    async def _tell(self, viewer: _Viewer, call: List, send: Send) -> None:
        write = partial(_write, send, self.send_seconds)
        await write(b"retry: 2000\n" + write_comment())
        comment_at = anyio.current_time() + COMMENT_SECONDS
        while True:
            rests = anyio.current_time() < viewer.rests_until
            if not rests and self._has_news(viewer):
                viewer.number = self._number
                viewer.digest = viewer.view.digest or viewer.digest
                pause = min(MAX_PAUSE, len(self._viewers) / VIEWERS_A_SECOND)
                pause = max(PAUSE, pause)
                # All of them ask again, each at a moment of its own.
                spread = round((pause - PAUSE) * 1000)
                await write(b"event: change\ndata: %d\n\n" % spread)
                viewer.rests_until = anyio.current_time() + pause
                continue
            until = min(comment_at, viewer.rests_until) if rests else comment_at
            if self._leads(viewer):
                until = min(until, self._ask_at)
            with anyio.CancelScope(deadline=until):
                if rests and self._leads(viewer):
                    await anyio.sleep_forever()
                elif rests:
                    await viewer.leads.wait()
                else:
                    self._is_waited_for = True
                    await self._bell.wait()
            if self._leads(viewer) and anyio.current_time() >= self._ask_at:
                await self._ask()
            if anyio.current_time() >= comment_at:
                await write(write_comment())
                comment_at = anyio.current_time() + COMMENT_SECONDS

    def _has_news(self, viewer: _Viewer) -> bool:
        digest = viewer.view.digest
        return viewer.number != self._number or digest not in ("", viewer.digest)

    def _leads(self, viewer: _Viewer) -> bool:
        """Tell whether this one asks the store for all."""
        return next(iter(self._viewers), None) is viewer

    async def _ask(self) -> None:
        """Ask for the lists that are looked at."""
        began = anyio.current_time()
        # Whoever leads next, should this one leave meanwhile.
        self._ask_at = began + ASK_SECONDS
        for call, view in list(self._views.items()):
            try:
                page = await self.list_page(call)
            except DurablePromiseError:
                # Who looks will see why.
                continue
            view.digest = digest_of(page)
        self._spare.digest = token_hex(8)
        took = anyio.current_time() - began
        pause = min(MAX_ASK_SECONDS, max(ASK_SECONDS, ASK_PART * took))
        self._ask_at = anyio.current_time() + pause
        self._ring()

    def _ring(self) -> None:
        self._is_waited_for = False
        self._bell.set()
        self._bell = anyio.Event()

    def _enter(self, call: List, seen: str) -> _Viewer:
        epoch, _, rest = seen.partition(".")
        number, _, digest = rest.partition(".")
        is_number = number.isascii() and number.isdecimal() and len(number) < _LONG
        known = epoch == self._epoch and is_number
        view = self._views.get(call)
        if view is None:
            view = self._spare
            if len(self._views) < MOST_VIEWS:
                view = self._views[call] = _ListInView()
        view.viewers += 1
        if not self._viewers:
            self._ask_at = anyio.current_time() + ASK_SECONDS
        viewer = _Viewer(view, int(number) if known else -1, digest)
        self._viewers[viewer] = None
        return viewer

    def _leave(self, viewer: _Viewer, call: List) -> None:
        did_lead = self._leads(viewer)
        del self._viewers[viewer]
        viewer.view.viewers -= 1
        if not viewer.view.viewers and viewer.view is not self._spare:
            del self._views[call]
        if did_lead and self._viewers:
            # Another one has to wake in time, be it that it rests.
            next(iter(self._viewers)).leads.set()
            self._ring()


_LONG: Final = 20
"""The digits of a number that nobody counts to."""


async def _write(send: Send, seconds: float, piece: bytes) -> None:
    with anyio.move_on_after(seconds) as scope:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if scope.cancelled_caught:
        # It reads nothing.
        raise ClientGoneError
