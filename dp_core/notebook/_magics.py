"""Magics: ``%promises``, ``%lanes``, ``%predict``; added by ``%load_ext``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, Final

import anyio
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from dp_core._client import Promises, connect, default_url
from dp_core._errors import DurablePromiseError, NotSupportedError
from dp_core.backend import Registry
from dp_core.notebook._journal import JOURNAL, JournalEvent, PromiseKey
from dp_core.notebook._on import add_on, remove_on
from dp_core.notebook._recorder import what_is_known
from dp_core.notebook._scratch import scratch
from dp_core.notebook.lessons import Question
from dp_core.notebook.pictures import Board, Lanes, lanes
from dp_core.notebook.processes import FleetError

__all__ = ["add_magics", "remove_magics"]

_TIMEOUT: Final = 5.0
"""Seconds that ``%promises`` waits for a store."""


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


def _scratch(line: str) -> None:
    """
    Go on in a temporary directory, which is removed when this kernel ends.

    %scratch         then file:./promises is in it, and %%writefile writes there
    """
    scratch()


def _predictions(shell: InteractiveShell) -> Callable[[str], None]:
    """Return the magic that notes predictions for the questions of a notebook."""

    def predict(line: str) -> None:
        """
        Predict what will happen.

        %predict QUESTION WORD     one of the words that the question shows
        %predict QUESTION          says what you have predicted
        """
        name, _, word = line.strip().partition(" ")
        question = shell.user_ns.get(name)
        if not isinstance(question, Question):
            raise UsageError(f"%predict: no question {name!r}; run the cell that asks")
        question.guess(word.strip())

    return predict


def _complete(shell: InteractiveShell, event: Any) -> list[str]:
    """Return what may stand behind ``%predict``: a question, and then its words."""
    _, *words = event.text_until_cursor.split()
    if not event.text_until_cursor.endswith(" "):
        words = words[:-1]
    if words:
        question = shell.user_ns.get(words[0])
        return list(question.words) if isinstance(question, Question) else []
    # Not IPython's own names for outputs, which begin with "_".
    return [
        name
        for name, value in shell.user_ns.items()
        if isinstance(value, Question) and not name.startswith("_")
    ]


_PREDICT: Final = "%predict"

_LINE_MAGICS: Final[dict[str, Callable[[str], Any]]] = {
    "promises": _promises,
    "lanes": _lanes,
    "scratch": _scratch,
}


def add_magics(shell: InteractiveShell) -> None:
    """Add the magics to a shell."""
    magics = {**_LINE_MAGICS, "predict": _predictions(shell)}
    for name, magic in magics.items():
        shell.magics_manager.register_function(magic, "line", name)
    shell.set_hook("complete_command", _complete, str_key=_PREDICT)  # type: ignore[no-untyped-call] # IPython's
    add_on(shell)


def remove_magics(shell: InteractiveShell) -> None:
    """Remove the magics from a shell."""
    for name in (*_LINE_MAGICS, "predict"):
        shell.magics_manager.magics["line"].pop(name, None)
    shell.strdispatchers["complete_command"].strs.pop(_PREDICT, None)
    remove_on(shell)
