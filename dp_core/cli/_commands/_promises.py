"""`peek`, `get`, `resolve`, `reject`, `dispose`: the commands on one promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import click

from dp_core._client import Promises
from dp_core._ids import check_id
from dp_core._outbox import dispose_with_deliveries
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import check_name
from dp_core.backend import Backend, Registry, wait_or_peek
from dp_core.cli._commands._asking import (
    ask,
    checked,
    checked_outcome,
    comparable,
    is_made,
    is_named,
    saying_where,
)
from dp_core.cli._examples import examples
from dp_core.cli._input import json_option, read_text, read_value, url_option
from dp_core.cli._output import complain_once, report
from dp_core.cli._status import Status
from dp_core.cli._times import seconds
from dp_core.values import check_message

__all__ = [
    "dispose",
    "get",
    "peek",
    "reject",
    "resolve",
]

T = TypeVar("T")


def _settler(
    ctx: click.Context, parameter: click.Parameter, name: str | None
) -> str | None:
    return None if name is None else check_name(name, "NAME of --by")


_by_option: Final[Callable[[Any], Any]] = click.option(
    "--by",
    metavar="NAME",
    callback=_settler,
    help='Who says so; kept beside the outcome, for "dp info".',
)


@click.command(
    epilog=examples(
        "dp peek greeting",
        "dp peek greeting --json",
        "dp peek greeting --url sqlite:./promises.db",
    ),
)
@click.argument("id")
@url_option
@json_option
def peek(id: str, url: str | None, *, as_json: bool) -> Status:
    """Print the state of ID, without waiting."""

    async def look(store: Backend) -> State[bytes]:
        return await store.peek(id) if await is_made(store) else Pending()

    return report(checked(_ask(url, id, look)), as_json=as_json)


@click.command(
    epilog=examples(
        "dp get greeting",
        "dp get greeting --timeout 30",
        "value=$(dp get greeting)",
    ),
)
@click.argument("id")
@click.option(
    "--timeout",
    callback=seconds,
    metavar="SECONDS",
    help="The longest wait; also with units, such as 10m.  [default: as long as it "
    "takes]",
)
@url_option
@json_option
def get(id: str, timeout: float | None, url: str | None, *, as_json: bool) -> Status:
    """Wait for ID, and print its outcome."""

    async def wait(promises: Promises) -> State[bytes]:
        check_id(id)
        store = promises.backend
        at_once = timeout is not None and timeout <= 0
        # The first one who waits at the default makes it: there is no URL to misspell.
        if (at_once or is_named(url)) and not await is_made(store) and at_once:
            return Pending()
        async with saying_where(promises, (id,), as_json=as_json):
            return await wait_or_peek(store, id, timeout)

    return report(checked(ask(url, wait)), as_json=as_json)


@click.command(
    epilog=examples(
        "dp resolve greeting hello",
        "dp resolve order-17 '{\"amount\": 1200}' --by alice",
        "dp resolve postcode 01067 --text",
        "date | dp resolve today -",
    ),
)
@click.argument("id")
@click.argument("value", required=False)
@click.option("--text", "form", flag_value="text", help="VALUE is plain text.")
@click.option("--json-value", "form", flag_value="json", help="VALUE is JSON.")
@_by_option
@url_option
@json_option
def resolve(  # noqa: PLR0913 - click passes each option by its name
    id: str,
    value: str | None,
    form: str | None,
    by: str | None,
    url: str | None,
    *,
    as_json: bool,
) -> Status:
    """
    Settle ID with VALUE, and print its outcome.

    VALUE is JSON where it reads as JSON, else plain text: 5 is a number,
    hello and '"5"' are text. "-" takes it from stdin: text in UTF-8, without
    its last line end. Without VALUE, it is null.
    """
    text = read_value(value, form or "either")
    return _settle(url, id, Resolved(text, by=by), as_json=as_json)


@click.command(
    epilog=examples(
        'dp reject greeting "nobody is at home"',
        "tail -n 1 errors.log | dp reject order-17 - --by nightly-job",
    ),
)
@click.argument("id")
@click.argument("message")
@_by_option
@url_option
@json_option
def reject(
    id: str, message: str, by: str | None, url: str | None, *, as_json: bool
) -> Status:
    """
    Settle ID with an error message, and print its outcome.

    MESSAGE is plain text; "-" takes it from stdin, without its last line end.
    """
    error = check_message(read_text(message))
    return _settle(url, id, Rejected(error, by=by), as_json=as_json)


@click.command(
    epilog=examples(
        "dp dispose greeting",
    ),
)
@click.argument("id")
@url_option
@json_option
def dispose(id: str, url: str | None, *, as_json: bool) -> Status:
    """Forget ID: its waiters fail, it is pending again."""
    _ask(url, id, partial(dispose_with_deliveries, id=id))
    if as_json:
        report(Pending(), as_json=True)
    return Status.RESOLVED


def _settle(url: str | None, id: str, ours: Outcome[bytes], *, as_json: bool) -> Status:
    async def settle(store: Backend) -> Outcome[bytes]:
        if ours.by is not None and not isinstance(store, Registry):
            complain_once("the store keeps outcomes only: NAME of --by is not kept")
        return await store.settle(id, ours)

    won = _ask(url, id, settle)
    checked_outcome(won)
    if comparable(won) != comparable(ours):
        state = type(won).__name__.lower()
        complain_once(f"already {state}; yours changed nothing")
    return report(won, as_json=as_json)


def _ask(url: str | None, id: str, operation: Callable[[Backend], Awaitable[T]]) -> T:
    async def run(promises: Promises) -> T:
        check_id(id)
        return await operation(promises.backend)

    return ask(url, run)
