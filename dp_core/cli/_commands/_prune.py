"""`prune`: the command that disposes of what is settled and old."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import click

from dp_core._client import (
    Failure,
    Promises,
    dispose_of_settled,
    moment_before,
)
from dp_core._registry import registry_of
from dp_core._terms import Query
from dp_core.cli._commands._asking import ask, is_made, say_failures
from dp_core.cli._examples import examples
from dp_core.cli._input import json_option, prefix_option, tag_option, url_option
from dp_core.cli._output import say, say_json
from dp_core.cli._status import Status
from dp_core.cli._times import time

__all__ = ["prune"]


@click.command(
    epilog=examples(
        "dp prune --settled-before 90d",
        "dp prune --settled-before 2026-01-01T00:00:00Z --tag kind=approval",
    ),
)
@click.option(
    "--settled-before",
    callback=time,
    required=True,
    metavar="TIME",
    help="Those settled so long ago, such as 90d or 12h, or before a moment such as"
    " 2026-11-26T14:30:00Z.",
)
@click.option(
    "--state",
    type=click.Choice(["resolved", "rejected"]),
    help="Those in this state; else both.",
)
@tag_option("Those that have this tag; repeatable.")
@prefix_option
@url_option
@json_option
def prune(  # noqa: PLR0913 - click passes each option by its name
    settled_before: timedelta | datetime,
    state: Literal["resolved", "rejected"] | None,
    tags: dict[str, str],
    prefix: str,
    url: str | None,
    *,
    as_json: bool,
) -> Status:
    """
    Dispose of what was settled long ago; say how many.

    What is pending stays, however old it is. The exit code is 1 if some cannot be
    read: these stay, and are named at the end.
    """
    before = moment_before(settled_before)
    query = Query(state, tags, prefix)
    failures: list[Failure] = []

    async def dispose_of_old(promises: Promises) -> int:
        registry_of(promises.backend, promises.url)
        if not await is_made(promises.backend):
            return 0
        return await dispose_of_settled(promises, query, before, failures)

    try:
        count = ask(url, dispose_of_old)
        if as_json:
            say_json({"disposed": count})
        else:
            say(f"disposed of {count:,} promise{'' if count == 1 else 's'}")
    finally:
        say_failures(failures)
    return Status.REJECTED if failures else Status.RESOLVED
