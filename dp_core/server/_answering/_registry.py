"""`RegistryAnswers`: create, info and list; `Sweeping`: deadlines nobody asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, final

import anyio

from dp_core._access import Access
from dp_core._errors import BackendError, NotSupportedError
from dp_core._observation import Observation
from dp_core._outbox import without_deliveries
from dp_core._states import Pending
from dp_core._terms import Page, PromiseInfo
from dp_core._text import quoted
from dp_core.backend import Backend, Registry, in_thread, now
from dp_core.server._callbacks import Callbacks
from dp_core.server._observing import Notices
from dp_core.wire import Create, Info, List, write_info, write_page

__all__ = ["RegistryAnswers", "Sweeping", "full_page"]


def _registry(backend: Backend) -> Registry:
    if isinstance(backend, Registry):
        return backend
    raise NotSupportedError("it keeps outcomes only")


@final
class RegistryAnswers:
    """
    Answers to the calls that are about terms and lists.

    Args:
        backend: The backend.
        callbacks: By which promises are created.
        tell_unreadable: Called with each page, for the log.
    """

    def __init__(
        self,
        backend: Backend,
        callbacks: Callbacks,
        tell_unreadable: Callable[[Page], None],
    ) -> None:
        self._backend = backend
        self._callbacks = callbacks
        self._tell_unreadable = tell_unreadable
        # Whether its creates say that they were the first, as far as is known.
        self._says_first = False

    async def answer(
        self,
        call: Create | Info | List,
        access: Access | None,
        seen: Observation | None = None,
    ) -> tuple[int, bytes]:
        """
        Return the status and the body of the answer to a call.

        Args:
            call: The call.
            access: What the client may be told of.
            seen: What observers are to be told.

        Raises:
            BackendError: The store failed, or keeps outcomes only.
            InvalidQueryError: The cursor is not one of the store's.
        """
        registry = _registry(self._backend)
        match call:
            case Info(id):
                info = await registry.info(id)
                if seen is not None:
                    seen.state, seen.terms = info.state, info.terms
                    seen.expired = info.expired
                return 200, write_info(_told_to(access, info))
            case Create():
                return await self._create(registry, call, seen)
            case List():  # pragma: no branch - the last of three
                page = await _page(registry, call)
                self._tell_unreadable(page)
                if seen is not None:
                    seen.count = len(page.infos)
                infos = tuple(_told_to(access, info) for info in page.infos)
                page = replace(page, infos=infos)
                failures = {id: _why(error) for id, error in page.failures}
                return 200, await in_thread(write_page, page, failures)

    async def _create(
        self, registry: Registry, call: Create, seen: Observation | None
    ) -> tuple[int, bytes]:
        await self._callbacks.check(call.terms)
        if not self._says_first:
            before = await registry.info(call.id)
            if before.terms is not None:
                if seen is not None:
                    seen.terms = before.terms
                return 200, write_info(before)
        stands = await self._callbacks.create(registry, call.id, call.terms)
        if seen is not None:
            seen.terms = stands
        self._says_first = stands.is_first is not None
        info = await registry.info(call.id)
        if info.terms is None:
            # Disposed of meanwhile. The caller is to be told of the terms that it gave.
            info = PromiseInfo(call.id, Pending(), stands, created_at=now())
        if stands.is_first is None:
            asked = call.terms
            if info.created_at is not None:
                asked = asked.given_at(info.created_at)
            is_first = stands == asked
        else:
            is_first = stands.is_first
        return 201 if is_first else 200, write_info(info)


def _told_to(access: Access | None, info: PromiseInfo[bytes]) -> PromiseInfo[bytes]:
    """
    Return an info without its callbacks, unless to who may create such a promise.

    A URL to call often is a secret that the receiver shares with the creator.
    """
    terms = info.terms
    if terms is None or not terms.notify:
        return info
    if access is not None and access.may(info.id, ("create",)):
        return info
    return replace(info, terms=replace(terms, notify=()))


async def _page(registry: Registry, call: List) -> Page:
    """Return a page of a store, as everybody is shown it."""
    page = await registry.list(call.query, call.after, call.limit)
    return without_deliveries(call.query, page)


async def full_page(backend: Backend, call: List) -> Page:
    """
    Return a page of a store that is as long as it may be, if so many follow.

    Raises:
        BackendError: The store failed, or keeps outcomes only.
        InvalidQueryError: The cursor is not one of the store's.
    """
    registry = _registry(backend)
    page = await _page(registry, call)
    for _ in range(_MOST_PAGES):
        left = call.limit - len(page.infos)
        if not left or page.after is None:
            break
        more = await _page(registry, replace(call, after=page.after, limit=left))
        page = Page(
            (*page.infos, *more.infos), more.after, (*page.failures, *more.failures)
        )
    return page


_MOST_PAGES: Final = 5
"""The most short pages of a store that make one."""


def _why(error: BackendError) -> str:
    """Return a failure as a client may see it: no paths."""
    return f"{type(error).__name__}; the server's log says why"


_BATCH: Final = 1000
"""The most promises to settle before others get their turn."""

_PAUSE: Final = 1.0
"""Seconds between two sweeps at most, since others may create promises."""


@final
class Sweeping:
    """The deadlines of the promises of one backend."""

    def __init__(self, backend: Backend, notices: Notices) -> None:
        self._backend = backend
        self._notices = notices

    async def run(self) -> None:
        """Settle what is over, until cancelled."""
        if not isinstance(self._backend, Registry):
            return
        while True:
            try:
                pause = await self._backend.sweep(_BATCH)
            except NotSupportedError:
                return
            except Exception as error:  # noqa: BLE001 - a bug must not end the server
                reason, pause = quoted(str(error), 1000), _PAUSE
                self._notices.tell(
                    ("sweep", type(error)),
                    partial("deadlines are not kept: {}".format, reason),
                    logging.ERROR,
                )
            await anyio.sleep(_PAUSE if pause is None else min(pause, _PAUSE))
