"""`watch`: the command that tells outcomes as they come."""

from __future__ import annotations

import sys

import click

from dp_core._client import Promises
from dp_core._errors import PromiseDisposedError
from dp_core._ids import check_id
from dp_core._states import Outcome, Rejected, Resolved
from dp_core._text import visible
from dp_core.cli._commands._asking import (
    ask,
    checked_outcome,
    for_each,
    is_made,
    is_named,
    saying_where,
)
from dp_core.cli._examples import examples
from dp_core.cli._input import json_lines_option, url_option
from dp_core.cli._output import NobodyReadsError, is_coloured, one_line, say, say_lines
from dp_core.cli._status import STATUS_OF, Status
from dp_core.cli._table import in_state_colour
from dp_core.values import encode

__all__ = ["watch"]


@click.command(
    epilog=examples(
        "dp watch order-17 order-18",
        "dp watch greeting --json",
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@url_option
@json_lines_option
def watch(ids: tuple[str, ...], url: str | None, *, as_json: bool) -> Status:
    """
    Wait for IDs, and print each outcome as it comes.

    A line has the id, the state, and the value as JSON or the error message. As JSON,
    it is an object with "promiseId", and "value", "error", or "disposed".

    The exit code is 0 if all were resolved, 1 if one was rejected, and 2 if one was
    disposed of.
    """
    worst = Status.RESOLVED

    async def tell_all(promises: Promises) -> Status:
        for id in ids:
            check_id(id)
        if is_named(url):
            await is_made(promises.backend)

        async def tell(id: str) -> None:
            nonlocal worst
            outcome: Outcome[bytes] | None
            try:
                outcome = await promises.backend.wait(id)
                checked_outcome(outcome)
            except PromiseDisposedError:
                outcome = None
            if as_json:
                say(_as_json(id, outcome))
            else:
                say_lines([_as_text(id, outcome)])
            worst = max(worst, _status_of(outcome))

        each = dict.fromkeys(ids)
        async with saying_where(promises, each, as_json=as_json):
            await for_each(each, tell)
        return worst

    try:
        return ask(url, tell_all)
    except NobodyReadsError:
        return Status.FAILED


def _status_of(outcome: Outcome[bytes] | None) -> Status:
    return Status.FAILED if outcome is None else STATUS_OF[type(outcome)]


def _as_text(id: str, outcome: Outcome[bytes] | None) -> str:
    match outcome:
        case Resolved(text):
            state, words = "resolved", f" {visible(text.decode())}"
        case Rejected(error):
            state, words = "rejected", f" {visible(error)}"
        case None:
            state, words = "disposed of", ""
    if is_coloured(sys.stdout):
        state = in_state_colour(state)
    return f"{visible(id)} {state}{words}"


def _as_json(id: str, outcome: Outcome[bytes] | None) -> str:
    match outcome:
        case Resolved(text):
            member = b'"value":%b' % text
        case Rejected(error):
            member = b'"error":%b' % encode(error, len(error) * 6 + 2)
        case None:  # pragma: no branch - the last of three
            member = b'"disposed":true'
    return one_line(b'{"promiseId":%b,%b}' % (encode(id), member))
