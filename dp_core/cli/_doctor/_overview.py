"""`show_overview`: the newest promises of a store, or how to begin with one."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, final

from dp_core._client import connect
from dp_core._errors import CorruptPromiseError, DurablePromiseError, NotSupportedError
from dp_core._outbox import without_deliveries
from dp_core._registry import registry_of
from dp_core._terms import PromiseInfo, Query
from dp_core._text import described
from dp_core.backend import MadeOnUse, Page, TimedBackend
from dp_core.cli._commands import checked_info
from dp_core.cli._doctor._bounded import told_in_time
from dp_core.cli._doctor._named_store import NamedStore
from dp_core.cli._output import (
    NobodyReadsError,
    complain_once,
    info_line,
    is_coloured,
    say,
    say_lines,
)
from dp_core.cli._status import Status
from dp_core.cli._table import Table, width_of_terminal

__all__ = ["show_overview"]

_ROWS: Final = 10
"""The most promises to show."""

_SECONDS: Final = 3.0
"""The longest time for a look at the store."""

_BEGIN: Final = """
To begin, let one shell wait for a promise, and settle it in another:

  dp get greeting{option}
  dp resolve greeting hello{option}
"""
_ALL_COMMANDS: Final = '"dp --help" lists all commands'


@dataclass(slots=True)
class _Overview:
    """
    Facts found in a store so far.

    Attributes:
        infos: Its newest promises.
        is_made: Whether there is a store.
        has_more: Whether it has others.
        unreadable: How many of its promises cannot be read.
        failure: Why not all of this is known; None where it is.
    """

    infos: list[PromiseInfo[bytes]] = field(default_factory=list)
    is_made: bool = True
    has_more: bool = False
    unreadable: int = 0
    failure: str | None = None

    def take(self, page: Page) -> None:
        """Add what is on a page."""
        self.unreadable += len(page.failures)
        for info in page.infos:
            try:
                self.infos.append(checked_info(info))
            except CorruptPromiseError:
                self.unreadable += 1
        self.has_more = page.after is not None


@final
class _NoStore:
    """Says that there is no store yet."""


def show_overview(option: str | None, *, as_json: bool) -> Status:
    """
    Show what is in a store, without making one; whatever is wrong is said in words.

    Args:
        option: The value of ``--url``.
        as_json: Whether to print one line of JSON.
    """
    store = NamedStore.of(option)
    found = _look(store)
    try:
        if as_json:
            say(_as_json(store, found))
        else:
            _say(store, found)
    except NobodyReadsError:
        # As those who count on it expect: dp | head
        return Status.FAILED
    return Status.RESOLVED


def _look(store: NamedStore) -> _Overview:
    found = _Overview()
    try:
        for told in told_in_time(partial(_pages, store.url), _SECONDS, each=False):
            if isinstance(told, _NoStore):
                found.is_made = False
            else:
                found.take(told)
    except TimeoutError:
        found.failure = (
            f"the store has not told all in {_SECONDS:g} s; it is large, or does not "
            'answer; "dp doctor" says more, and "dp list" takes its time'
        )
    except NotSupportedError:
        found.failure = (
            'the store keeps outcomes only, and cannot be listed; "dp peek ID" works'
        )
    except DurablePromiseError as error:
        found.failure = f'{error}; "dp doctor" says more'
    except Exception as error:  # noqa: BLE001 - of another package's backend
        found.failure = f'the store fails ({described(error)}); "dp doctor" says more'
    return found


async def _pages(url: str) -> AsyncIterator[Page | _NoStore]:
    """Yield pages with the newest promises, until there are enough."""
    async with connect(url) as promises:
        backend = promises.backend
        if isinstance(backend, TimedBackend):
            # So that one that is away is not asked again until the time is over.
            await backend.wait_for("dp", 0)
        if isinstance(backend, MadeOnUse) and not await backend.is_made():
            yield _NoStore()
            return
        registry = registry_of(backend, promises.url)
        query, after = Query(newest=True), None
        missing = _ROWS
        while missing > 0:
            page = without_deliveries(query, await registry.list(query, after, missing))
            yield page
            missing -= len(page.infos)
            after = page.after
            if after is None:
                return


def _say(store: NamedStore, found: _Overview) -> None:
    begin = _BEGIN.format(option=store.option)
    say(f"Store {store} ({store.source})")
    if found.infos:
        table = Table(width_of_terminal(), has_colours=is_coloured(sys.stdout))
        say("")
        say_lines(table.rows(found.infos))
        say("")
    if found.unreadable:
        complain_once(f'{found.unreadable:,} promises cannot be read; see "dp list"')
    if found.failure is not None:
        complain_once(found.failure)
    elif not found.is_made:
        is_named = store.source != "the default"
        say("There is no store yet" + ("; is the URL right?" if is_named else "."))
        say(begin)
    elif found.has_more:
        say(f'These are the {len(found.infos)} newest; "dp list" shows all, and')
    elif not found.infos and not found.unreadable:
        say("There is nothing in it.")
        say(begin)
    say(f"{_ALL_COMMANDS}.")


def _as_json(store: NamedStore, found: _Overview) -> str:
    # Promises are in the very text that the wire has.
    members = {
        "store": json.dumps(str(store)),
        "exists": json.dumps(found.is_made),
        "promises": f"[{','.join(map(info_line, found.infos))}]",
        "more": json.dumps(found.has_more),
        "unreadable": json.dumps(found.unreadable),
        "error": json.dumps(found.failure),
    }
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"
