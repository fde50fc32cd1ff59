"""
Magics: ``%%on alice``, ``%promises``, ``%lanes``; added by ``%load_ext``.

A magic cannot await. So a cell that begins with ``%%on`` is rewritten, before IPython
parses it, into one that awaits the function `on`; the others are plain magics.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, Final

import anyio
from anyio.lowlevel import current_token
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from dp_core._client import Promises, connect, default_url
from dp_core._errors import DurablePromiseError, NotSupportedError
from dp_core.backend import Registry
from dp_core.notebook._journal import JOURNAL, JournalEvent, PromiseKey
from dp_core.notebook._recorder import what_is_known
from dp_core.notebook.pictures import Board, Lanes, lanes
from dp_core.notebook.processes import FleetError, fleet_of, running

__all__ = ["ON", "add_magics", "on", "remove_magics"]

ON: Final = "_dp_on"
"""The name of `on` in the notebook's namespace."""

_CELL: Final = re.compile(r"%%on(?:[ \t]+(?P<where>.*))?$")
_BLANK: Final = re.compile(r"\s*(#.*)?$")
_TIMEOUT: Final = 5.0
"""Seconds that ``%promises`` waits for a store."""


async def on(where: str, code: str) -> None:
    """
    Run a cell in some processes, and show their output.

    Args:
        where: Names of processes, or ``all``; ``&`` behind them to go on
            without waiting for its end.
        code: The cell.
    """
    _need_asyncio()
    *names, last = where.split() or [""]
    background = last == "&"
    names = names if background else [*names, last]
    if names == ["all"]:
        names = list(running())
    if not any(names):
        raise UsageError("%%on needs the name of a process: %%on alice")
    for name in names:
        fleet = fleet_of(name)
        if background:
            await fleet.begin(name, code)
        elif len(names) == 1:
            await fleet.run(name, code)
    if not background and len(names) > 1:
        await _together(names, code)


async def _together(names: list[str], code: str) -> None:
    for fleet in {fleet_of(name) for name in names}:
        own = [name for name in fleet.names if name in names]
        await fleet.run_each(dict.fromkeys(own, code))


def _need_asyncio() -> None:
    if not isinstance(current_token().native_token, asyncio.AbstractEventLoop):
        raise FleetError("processes need asyncio; run %autoawait asyncio before")


def _rewrite(lines: list[str]) -> list[str]:
    """Turn ``%%on alice`` and its cell into an ``await``."""
    first = next((i for i, line in enumerate(lines) if not _BLANK.match(line)), 0)
    match = _CELL.match(lines[first].rstrip("\n")) if lines else None
    if match is None:
        return lines
    code = "".join(lines[first + 1 :])
    return [f"await {ON}({(match['where'] or '').strip()!r}, {code!r})\n"]


def _promises(line: str) -> Board:
    """
    Ask the stores for the states of promises, and show the board.

    %promises            all promises that this notebook has used
    %promises ID ...     these, in the store of DP_URL (file:./promises)
    """
    ids = line.split()
    known = {event.key for event in JOURNAL if event.id}
    keys = sorted(key for key in known if not ids or key[1] in ids)
    used = {id for _, id in known}
    keys += [(default_url(), id) for id in ids if id not in used]
    return Board([*JOURNAL.about(*ids), *_look(keys)])


def _lanes(line: str) -> Lanes:
    """
    Show the lane chart of the events up to now.

    %lanes           of all promises
    %lanes ID ...    of these
    """
    return lanes(*line.split())


def _look(keys: list[PromiseKey]) -> list[JournalEvent]:
    """Ask for promises, in a thread, because a magic cannot await."""
    found: list[JournalEvent | DurablePromiseError] = []

    async def look() -> None:
        for store, id in keys:
            promises = connect(store)
            try:
                with anyio.fail_after(_TIMEOUT):
                    known = await _known(promises, id)
            finally:
                await promises.aclose()
            found.append(JournalEvent("", 0, "peeked", id, store, **known))

    def run() -> None:
        try:
            anyio.run(look)
        except DurablePromiseError as error:
            found.append(error)
        except TimeoutError:
            found.append(FleetError(f"no answer for {_TIMEOUT:g} s"))

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    if errors := [item for item in found if isinstance(item, DurablePromiseError)]:
        raise errors[0]
    return [item for item in found if isinstance(item, JournalEvent)]


async def _known(promises: Promises, id: str) -> dict[str, Any]:
    """Return what the store knows; the state alone, if it keeps outcomes only."""
    backend = promises.backend
    if isinstance(backend, Registry):
        with suppress(NotSupportedError):
            info = await backend.info(id)
            return what_is_known(info.state, info.terms, expired=info.expired)
    return what_is_known(await backend.peek(id), None)


def _misplaced(line: str, cell: str = "") -> None:
    """
    Run this cell in a process.

    %%on alice       in one, to its end
    %%on alice bob   in both at once
    %%on all         in all
    %%on alice &     in the background; await fleet.join("alice") waits for it
    """
    raise UsageError("%%on must be in the first line of a cell")


_LINE_MAGICS: Final[dict[str, Callable[[str], Any]]] = {
    "promises": _promises,
    "lanes": _lanes,
}


def add_magics(shell: InteractiveShell) -> None:
    """Add the magics to a shell."""
    for name, magic in _LINE_MAGICS.items():
        shell.magics_manager.register_function(magic, "line", name)
    shell.magics_manager.register_function(_misplaced, "cell", "on")
    shell.magics_manager.register_function(_misplaced, "line", "%on")
    # Hidden, as IPython hides its own: not the reader's variable.
    shell.user_ns[ON] = shell.user_ns_hidden[ON] = on
    if _rewrite not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.insert(0, _rewrite)


def remove_magics(shell: InteractiveShell) -> None:
    """Remove the magics from a shell."""
    for name in _LINE_MAGICS:
        shell.magics_manager.magics["line"].pop(name, None)
    shell.magics_manager.magics["cell"].pop("on", None)
    shell.magics_manager.magics["line"].pop("%on", None)
    shell.user_ns.pop(ON, None)
    shell.user_ns_hidden.pop(ON, None)
    if _rewrite in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_rewrite)
