"""`list_promises`: the command that tells what a store holds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import get_args

import click

from dp_core._client import Failure, Promises
from dp_core._errors import CorruptPromiseError
from dp_core._outbox import without_deliveries
from dp_core._registry import registry_of
from dp_core._terms import PromiseInfo, Query, StateName
from dp_core.cli._commands._asking import (
    ask,
    checked_info,
    is_made,
    say_failures,
)
from dp_core.cli._examples import examples
from dp_core.cli._input import (
    WholeNumber,
    json_lines_option,
    prefix_option,
    tag_option,
    url_option,
)
from dp_core.cli._output import (
    NobodyReadsError,
    info_line,
    is_coloured,
    say,
    say_lines,
)
from dp_core.cli._status import Status
from dp_core.cli._table import Table, width_of_terminal
from dp_core.wire import MAX_LIMIT

__all__ = ["list_promises"]


@click.command(
    "list",
    epilog=examples(
        "dp list",
        "dp list --state pending --tag kind=approval",
        "dp list --newest --limit 10",
        "dp list --prefix order- --json",
    ),
)
@click.option(
    "--state",
    type=click.Choice(get_args(StateName)),
    help="Those in this state.",
)
@tag_option("Those that have this tag; repeatable.")
@prefix_option
@click.option("--newest", is_flag=True, help="The newest first; else the oldest.")
@click.option("--limit", type=WholeNumber(min=1), metavar="N", help="So many at most.")
@url_option
@json_lines_option
def list_promises(  # noqa: PLR0913 - click passes each option by its name
    state: StateName | None,
    tags: dict[str, str],
    prefix: str,
    limit: int | None,
    url: str | None,
    *,
    newest: bool,
    as_json: bool,
) -> Status:
    """
    List promises that were created or settled.

    They come in the order in which the store first heard of them. On a terminal, rows
    are cut to its width. As JSON, each is one line of the wire, whole.

    The exit code is 0 if all were told, 1 if some cannot be read: these are named at
    the end. It is 2 if nobody reads them to the end.
    """
    query = Query(state, tags, prefix, newest)
    try:
        return ask(url, _Telling(query, limit, as_json=as_json).tell)
    except NobodyReadsError:
        # As those who count on it expect: dp list | head
        return Status.FAILED


class _Telling:
    """Tells promises page by page, as they come."""

    def __init__(self, query: Query, limit: int | None, *, as_json: bool) -> None:
        columns = width_of_terminal()
        self._query = query
        self._left = sys.maxsize if limit is None else limit
        self._table = (
            None if as_json else Table(columns, has_colours=is_coloured(sys.stdout))
        )
        self._failures: list[Failure] = []

    async def tell(self, promises: Promises) -> Status:
        """Print all promises; return the exit code."""
        registry = registry_of(promises.backend, promises.url)
        if not await is_made(promises.backend):
            return Status.RESOLVED
        after: str | None = None
        try:
            while self._left:
                page = await registry.list(
                    self._query, after, min(self._left, MAX_LIMIT)
                )
                self._failures += page.failures
                self._say(without_deliveries(self._query, page).infos)
                after = page.after
                if after is None:
                    break
        finally:
            say_failures(self._failures)
        return Status.REJECTED if self._failures else Status.RESOLVED

    def _say(self, infos: Iterable[PromiseInfo[bytes]]) -> None:
        whole = []
        for info in infos:
            try:
                whole.append(checked_info(info))
            except CorruptPromiseError as error:
                self._failures.append((info.id, error))
        self._left -= len(whole)
        if self._table is not None:
            say_lines(self._table.rows(whole))
        elif whole:
            say("\n".join(map(info_line, whole)))
