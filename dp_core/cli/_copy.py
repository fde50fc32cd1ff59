"""`copy`: the command that copies outcomes from one store to another."""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TextIO, TypeVar

import anyio
import click

from dp_core._client import Promises, connect
from dp_core._errors import DurablePromiseError, UnknownBackendError
from dp_core._ids import check_id
from dp_core._safe_text import quoted
from dp_core._states import Outcome, Pending
from dp_core.backend import Listable
from dp_core.cli._output import complain, say
from dp_core.cli._promises import comparable
from dp_core.cli._status import Status

__all__ = ["copy"]

AT_ONCE: Final = 32
"""The number of promises under way at once, for stores where one takes long."""

T = TypeVar("T")

Settled = tuple[str, Outcome[bytes]]


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--ids",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Copy these, one id a line, as plain text or a JSON string; - for stdin.",
)
@click.option("--after", metavar="ID", help="Go on after this one.")
def copy(source: str, target: str, ids: TextIO | None, after: str | None) -> Status:
    """
    Copy settled promises from the store FROM to the store TO.

    A promise that is settled in TO stays as it is, so repeating a copy does no
    harm. A promise with another outcome there is reported, and makes the exit
    code 1. Waiters do not move: point them to TO.

    file: and memory: can list their promises; for any other store, name the ids.
    """
    progress = _Progress(after)
    named = None if ids is None else [_read_id(line) for line in ids]
    if named is not None and after is not None and after not in named:
        raise click.BadParameter(f"--after {quoted(after)} is none of --ids")
    try:
        anyio.run(partial(_copy, source, target, named, progress))
    except (DurablePromiseError, KeyboardInterrupt):
        if progress.last is not None:
            complain(f"to go on from here, add: --after {shlex.quote(progress.last)}")
        raise
    say(f"{progress.copied:,} settled promises of {source} are in {target}")
    return Status.REJECTED if progress.different else Status.RESOLVED


@dataclass
class _Progress:
    """Progress: everything up to and including *last* was copied."""

    last: str | None
    copied: int = 0
    different: int = 0


async def _copy(
    source: str, target: str, ids: list[str] | None, progress: _Progress
) -> None:
    async with connect(source) as here, connect(target) as there:
        listing = _NamedPromises(here, ids) if ids is not None else here.backend
        if not isinstance(listing, Listable):
            raise UnknownBackendError(
                source, "it cannot list its promises; name them with --ids"
            )
        while page := await listing.settled(progress.last, AT_ONCE):
            await _for_each(page, partial(_settle, there, progress))
            progress.last = page[-1][0]


async def _settle(there: Promises, progress: _Progress, settled: Settled) -> None:
    id, outcome = settled
    won = await there.backend.settle(id, outcome)
    progress.copied += 1
    if comparable(won) != comparable(outcome):
        progress.different += 1
        complain(f"{quoted(id)} has another outcome in {there.url}")


class _NamedPromises:
    """The promises of a store that the user has named, in that order."""

    def __init__(self, store: Promises, ids: Iterable[str]) -> None:
        self._store = store
        self._ids = list(dict.fromkeys(ids))
        self._places = {id: place for place, id in enumerate(self._ids)}

    async def settled(self, after: str | None, limit: int) -> list[Settled]:
        found: dict[str, Outcome[bytes]] = {}

        async def look(id: str) -> None:
            check_id(id)
            state = await self._store.backend.peek(id)
            if not isinstance(state, Pending):
                found[id] = state

        start = 0 if after is None else self._places[after] + 1
        while start < len(self._ids) and len(found) < limit:
            await _for_each(self._ids[start : start + limit], look)
            start += limit
        return sorted(found.items(), key=lambda item: self._places[item[0]])[:limit]


async def _for_each(
    items: Iterable[T], operation: Callable[[T], Awaitable[None]]
) -> None:
    """Do something for all items at once; raise the first of our errors."""
    failures: list[DurablePromiseError] = []

    async def do(item: T) -> None:
        try:
            await operation(item)
        except DurablePromiseError as error:
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(do, item)
    if failures:
        raise failures[0]


def _read_id(line: str) -> str:
    line = line.removesuffix("\n")
    if not line.startswith('"'):
        return line
    try:
        return str(json.loads(line))
    except ValueError as error:
        raise click.BadParameter(
            f"{quoted(line)} is not a valid JSON string: {error}"
        ) from None
