"""`peek`, `get`, `resolve`, `reject`, `dispose`: the commands on one promise."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import click

from dp_core._client import DEFAULT_URL, connect, default_url
from dp_core._errors import CodecError, CorruptPromiseError
from dp_core._ids import check_id
from dp_core._safe_text import quoted
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core.backend import Backend, Located, MadeOnUse, wait_or_peek
from dp_core.cli._input import json_option, read_text, read_value, seconds, url_option
from dp_core.cli._output import complain, complain_once, report
from dp_core.cli._status import Status
from dp_core.values import check_message, check_text, decode, encode

__all__ = [
    "checked",
    "comparable",
    "dispose",
    "get",
    "is_made",
    "peek",
    "reject",
    "resolve",
]

T = TypeVar("T")


@click.command()
@click.argument("id")
@url_option
@json_option
def peek(id: str, url: str | None, *, as_json: bool) -> Status:
    """Print the state of ID, without waiting."""

    async def look(store: Backend) -> State[bytes]:
        return await store.peek(id) if await is_made(store) else Pending()

    return report(checked(_ask(url, id, look)), as_json=as_json)


@click.command()
@click.argument("id")
@click.option(
    "--timeout",
    type=float,
    callback=seconds,
    metavar="SECONDS",
    help="The longest wait.  [default: as long as it takes]",
)
@url_option
@json_option
def get(id: str, timeout: float | None, url: str | None, *, as_json: bool) -> Status:
    """Wait for ID, and print its outcome."""

    async def wait(store: Backend) -> State[bytes]:
        at_once = timeout is not None and timeout <= 0
        # The first one who waits at the default makes it: there is no URL to misspell.
        is_named = bool(url) or default_url() != DEFAULT_URL
        if (at_once or is_named) and not await is_made(store) and at_once:
            return Pending()
        return await wait_or_peek(store, id, timeout)

    state = _ask(url, id, wait)
    return report(checked(state), as_json=as_json)


@click.command()
@click.argument("id")
@click.argument("value", required=False)
@click.option("--text", "form", flag_value="text", help="VALUE is plain text.")
@click.option("--json-value", "form", flag_value="json", help="VALUE is JSON.")
@url_option
@json_option
def resolve(
    id: str, value: str | None, form: str | None, url: str | None, *, as_json: bool
) -> Status:
    """
    Settle ID with VALUE, and print its outcome.

    VALUE is JSON where it reads as JSON, else plain text: 5 is a number,
    hello and '"5"' are text. "-" takes it from stdin: text in UTF-8, without
    its last line end. Without VALUE, it is null.
    """
    text = read_value(value, form or "either")
    return _settle(url, id, Resolved(text), as_json=as_json)


@click.command()
@click.argument("id")
@click.argument("message")
@url_option
@json_option
def reject(id: str, message: str, url: str | None, *, as_json: bool) -> Status:
    """
    Settle ID with an error message, and print its outcome.

    MESSAGE is plain text; "-" takes it from stdin, without its last line end.
    """
    error = check_message(read_text(message))
    return _settle(url, id, Rejected(error), as_json=as_json)


@click.command()
@click.argument("id")
@url_option
@json_option
def dispose(id: str, url: str | None, *, as_json: bool) -> Status:
    """Forget ID: its waiters fail, it is pending again."""
    _ask(url, id, lambda store: store.dispose(id))
    if as_json:
        report(Pending(), as_json=True)
    return Status.RESOLVED


def _settle(url: str | None, id: str, ours: Outcome[bytes], *, as_json: bool) -> Status:
    won = _ask(url, id, lambda store: store.settle(id, ours))
    checked(won)
    if comparable(won) != comparable(ours):
        state = type(won).__name__.lower()
        complain_once(f"already {state}; yours changed nothing")
    return report(won, as_json=as_json)


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
    """
    try:
        match state:
            case Resolved(text):
                check_text(text, len(text))
            case Rejected(error):
                check_message(error, sys.maxsize)
    except CodecError as error:
        raise CorruptPromiseError(
            f"the store holds what no store takes: {error}; restore it from a backup, "
            "or dispose of the promise"
        ) from None
    return state


def _ask(url: str | None, id: str, operation: Callable[[Backend], Awaitable[T]]) -> T:
    """Run one operation on a store in bytes, so that a value passes unchanged."""

    async def ask() -> T:
        async with connect(url) as promises:
            check_id(id)
            return await operation(promises.backend)

    return anyio.run(ask)
