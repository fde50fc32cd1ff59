"""`ask` runs an operation on a store; `checked` and others look at its answers."""

from __future__ import annotations

import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import anyio
import click

from dp_core._client import DEFAULT_URL, Failure, Promises, connect, default_url
from dp_core._errors import (
    BackendError,
    CodecError,
    CorruptPromiseError,
    DurablePromiseError,
)
from dp_core._states import SETTLED, Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import PromiseInfo
from dp_core._text import quoted, shown, without_password
from dp_core.backend import Backend, Located, MadeOnUse, tasks_beside
from dp_core.cli._output import complain, complain_once, is_read_as_it_comes
from dp_core.values import check_message, check_text, decode, encode

__all__ = [
    "ask",
    "checked",
    "checked_info",
    "checked_outcome",
    "comparable",
    "for_each",
    "is_made",
    "is_named",
    "say_failures",
    "say_if_alone",
    "saying_where",
]

T = TypeVar("T")
Item = TypeVar("Item")


def ask(url: str | None, operation: Callable[[Promises], Awaitable[T]]) -> T:
    """Run one operation on a store, by its backend: a value passes in its bytes."""

    async def run() -> T:
        async with connect(url) as promises:
            say_if_alone(promises.url)
            return await operation(promises)

    return anyio.run(run)


def say_if_alone(url: str) -> None:
    """Say so where a store is in the memory of this process: it ends with it."""
    if url.partition(":")[0].lower() == "memory":
        complain_once(
            f"{quoted(url, 200)} is in the memory of this command: nobody else ever "
            "sees it, and it ends with this; use file:./promises or a server's URL"
        )


async def for_each(
    items: Iterable[Item], operation: Callable[[Item], Awaitable[None]]
) -> None:
    """Do something for all items at once; raise the first of our errors."""
    failures: list[DurablePromiseError | click.ClickException] = []

    async def do(item: Item) -> None:
        try:
            await operation(item)
        except (DurablePromiseError, click.ClickException) as error:
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(do, item)
    if failures:
        raise failures[0]


def say_failures(failures: Sequence[Failure]) -> None:
    """Name the promises that cannot be read, and say why."""
    for name, error in failures[:_NAMED]:
        complain_once(f"{quoted(name, 200)} cannot be read: {error}")
    if (more := len(failures) - _NAMED) > 0:
        complain_once(f"nor can {more:,} other{'' if more == 1 else 's'}")


_NAMED: Final = 1000
"""The most promises that are named, of those that cannot be read."""


def is_named(url: str | None) -> bool:
    """Tell whether somebody has named the store, which so may be misspelt."""
    return url is not None or default_url() != DEFAULT_URL


_LASTS: Final = 1.0
"""Seconds after which whoever sits there wonders what a wait is for."""


@asynccontextmanager
async def saying_where(
    promises: Promises, ids: Collection[str], *, as_json: bool
) -> AsyncIterator[None]:
    """
    Wait in this block; say where, if that lasts, to who sits at a terminal.

    A wait in the wrong directory looks like any other. Scripts are told nothing.
    """
    if as_json or not is_read_as_it_comes():
        yield
        return

    async def say_where() -> None:
        await anyio.sleep(_LASTS)
        (id, *others) = ids
        what = f"{len(ids):,} promises" if others else quoted(id)
        store = promises.backend
        where = store.location if isinstance(store, Located) else promises.url
        complain_once(
            f"waiting for {what} in {quoted(without_password(where), 200)}; "
            "--url names another store"
        )

    async with tasks_beside() as group:
        group.start_soon(say_where)
        yield


async def is_made(store: Backend) -> bool:
    """Tell whether a store is there; say so where it is not."""
    if not isinstance(store, MadeOnUse) or await store.is_made():
        return True
    where = f" at {quoted(store.location, 200)}" if isinstance(store, Located) else ""
    complain(f"dp: there is no store{where} yet; is the URL right?")
    return False


def comparable(outcome: Outcome[bytes]) -> Outcome[bytes]:
    """Return *outcome* in one spelling; backends keep the spelling they got."""
    match outcome:
        case Resolved(text):
            return Resolved(encode(decode(text), sys.maxsize))
        case _:
            return outcome


def checked(state: State[bytes]) -> State[bytes]:
    """
    Return *state* if it is as strict as what a store takes, whoever wrote it.

    Raises:
        CorruptPromiseError: It is not.
        BackendError: It is not a state, by a fault of the backend.
    """
    try:
        match state:
            case Pending():
                pass
            case Resolved(bytes() | bytearray() as text):
                check_text(bytes(text), len(text))
            case Rejected(error):
                check_message(error, sys.maxsize)
            case _:
                raise _at_fault(state)
    except CodecError as error:
        raise CorruptPromiseError(
            f"the store holds what no store takes: {error}; restore it from a backup, "
            "or dispose of the promise"
        ) from None
    return state


def checked_outcome(outcome: Outcome[bytes]) -> Outcome[bytes]:
    """Return *outcome* as `checked` does; pending is none, as the backend's fault."""
    if not isinstance(checked(outcome), SETTLED):
        raise _at_fault(outcome)
    return outcome


def _at_fault(returned: object) -> BackendError:
    return BackendError(
        f"the store's backend is at fault: it returned {shown(returned)}, which is not "
        'what a promise can be; see "dp backends" for the package that brings it'
    )


def checked_info(info: PromiseInfo[bytes]) -> PromiseInfo[bytes]:
    """
    Return *info* if all in it is as strict as what a store takes.

    Raises:
        CorruptPromiseError: It is not.
    """
    checked(info.state)
    if info.terms is not None:
        if info.terms.otherwise is not None:
            checked(info.terms.otherwise)
        if info.terms.data is not None:
            checked(Resolved(info.terms.data))
    return info
