"""`create`, `info`: the commands on the terms of one promise."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from itertools import islice
from secrets import token_hex

import click

from dp_core._client import Promises, are_equal
from dp_core._ids import check_id
from dp_core._outbox import create_with_callbacks
from dp_core._registry import registry_of
from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._terms import (
    PromiseInfo,
    Terms,
    ask_callbacks,
    moment_after,
    refuse_reserved,
)
from dp_core._text import quoted
from dp_core.backend import now
from dp_core.cli._commands._asking import ask, checked_info, is_made
from dp_core.cli._examples import examples
from dp_core.cli._input import (
    json_option,
    read_option_value,
    read_text,
    tag_option,
    url_option,
)
from dp_core.cli._output import (
    complain,
    complain_once,
    is_coloured,
    say,
    say_info,
    say_lines,
)
from dp_core.cli._status import STATUS_OF, Status
from dp_core.cli._table import described_info
from dp_core.cli._times import time
from dp_core.values import check_message

__all__ = ["create", "info"]


@click.command(
    epilog=examples(
        "dp create approve-17 --deadline 3d --tag kind=approval",
        "dp create approve-18 --deadline 2h30m --otherwise-value '\"no\"'",
        "dp create approve-19 --notify https://example.com/hook",
        'id=$(dp create --data \'{"path": "in.csv"}\')',
    ),
)
@click.argument("id", required=False)
@click.option(
    "--deadline",
    callback=time,
    metavar="TIME",
    help="When it settles by itself: from now, such as 3d, 2h30m or 90s, or a moment"
    " such as 2026-11-26T14:30:00Z.",
)
@click.option(
    "--otherwise-value", metavar="VALUE", help="Resolve it with VALUE at the deadline."
)
@click.option(
    "--otherwise-error",
    metavar="MESSAGE",
    help="Reject it with MESSAGE at the deadline.  [default: deadline passed]",
)
@tag_option("A tag to find it by; repeatable.")
@click.option("--data", metavar="VALUE", help="JSON for whoever settles it.")
@click.option(
    "--notify",
    multiple=True,
    metavar="URL",
    help="A URL that a server of the store calls once it is settled; repeatable.",
)
@click.option(
    "--exist-ok/--no-exist-ok",
    default=True,
    help="Whether other terms may have been there before.  [default: exist-ok]",
)
@url_option
@json_option
def create(  # noqa: PLR0913 - click passes each option by its name
    id: str | None,
    *,
    deadline: timedelta | datetime | None,
    otherwise_value: str | None,
    otherwise_error: str | None,
    tags: dict[str, str],
    data: str | None,
    notify: tuple[str, ...],
    url: str | None,
    exist_ok: bool,
    as_json: bool,
) -> Status:
    """
    Give ID its terms: a deadline, tags, data, and who is told.

    Prints all that is known about the promise then. Without ID it takes a new one of
    128 random bits, and prints that alone on stdout. The first terms win, and repeating
    does no harm. Values are as those of "dp resolve"; "-" takes one from stdin. The
    exit code is 0 if the promise has terms, whatever its state.
    """
    if [otherwise_value, otherwise_error, data].count("-") > 1:
        raise click.UsageError("only one of the options can be read from stdin (-)")
    refuse_reserved(tags)
    otherwise = _otherwise(otherwise_value, otherwise_error)
    asked = _asked(deadline, otherwise, tags, data, notify)

    async def give(promises: Promises) -> tuple[PromiseInfo[bytes], bool]:
        name = token_hex(16) if id is None else id
        check_id(name)
        registry = registry_of(promises.backend, promises.url)
        first = await create_with_callbacks(promises.backend, registry, name, asked)
        is_ours = await are_equal(registry, name, asked, first)
        if not (is_ours or exist_ok):
            raise click.ClickException(
                f"promise {quoted(name)} was created with other terms; take another "
                "id, or leave out --no-exist-ok to use it as it is"
            )
        return await registry.info(name), is_ours

    found, is_ours = ask(url, give)
    if not is_ours:
        complain_once("already created, with other terms; yours changed nothing")
    checked_info(found)
    if as_json:
        say_info(found)
    elif id is None:
        say(found.id)
        for line in islice(described_info(found), 1, None):
            complain(line)
    else:
        say_lines(described_info(found, has_colours=is_coloured(sys.stdout)))
    return Status.RESOLVED


def _otherwise(value: str | None, error: str | None) -> Outcome[bytes] | None:
    if value is not None and error is not None:
        raise click.UsageError(
            "--otherwise-value and --otherwise-error exclude each other"
        )
    if value is not None:
        return Resolved(read_option_value("--otherwise-value", value))
    return None if error is None else Rejected(check_message(read_text(error)))


def _asked(
    deadline: timedelta | datetime | None,
    otherwise: Outcome[bytes] | None,
    tags: dict[str, str],
    data: str | None,
    notify: tuple[str, ...],
) -> Terms[bytes]:
    """
    Return the terms to ask for, with values in the bytes that were given.

    Raises:
        InvalidTermsError: No promise can have them.
        click.BadParameter: A value is not JSON.
    """
    if deadline is None and otherwise is not None:
        raise click.UsageError(
            "--otherwise-value and --otherwise-error are for after the deadline; give "
            "one, such as --deadline 3d"
        )
    within: timedelta | None = None
    if isinstance(deadline, timedelta):
        within, deadline = deadline, moment_after(now(), deadline)
    text = None if data is None else read_option_value("--data", data)
    return Terms(
        deadline=deadline,
        otherwise=otherwise,
        tags=tags,
        data=None if text == b"null" else text,
        within=within,
        notify=ask_callbacks(notify),
    )


@click.command(
    epilog=examples(
        "dp info approve-17",
        "dp info approve-17 --json",
    ),
)
@click.argument("id")
@url_option
@json_option
def info(id: str, url: str | None, *, as_json: bool) -> Status:
    """
    Print all that is known about ID, without waiting.

    As JSON, it is one line of the wire.
    """

    async def look(promises: Promises) -> PromiseInfo[bytes]:
        check_id(id)
        registry = registry_of(promises.backend, promises.url)
        if not await is_made(promises.backend):
            return PromiseInfo(id, Pending())
        return await registry.info(id)

    found = checked_info(ask(url, look))
    if as_json:
        say_info(found)
    else:
        say_lines(described_info(found, has_colours=is_coloured(sys.stdout)))
    return STATUS_OF[type(found.state)]
