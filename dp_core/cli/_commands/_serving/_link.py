"""`link`: the command that makes a link by which a person settles a promise."""

from __future__ import annotations

from datetime import datetime, timedelta

import anyio
import click

from dp_core._client import connect
from dp_core.cli._commands._serving._options import (
    expires_option,
    needs_extra,
    secret_file_option,
)
from dp_core.cli._examples import examples
from dp_core.cli._input import url_option
from dp_core.cli._output import say
from dp_core.cli._status import Status

__all__ = ["link"]


@click.command(
    epilog=examples(
        "dp link a-17 --expires 3d --secret-file ./secrets --url http://dp.lan:8080",
        "dp link a-17 --expires 3d --secret-file ./secrets --base https://dp.co.uk",
    ),
)
@click.argument("id")
@expires_option(required=True)
@click.option(
    "--for", "name", metavar="NAME", help="Who gets it: what they settle is by NAME."
)
@click.option(
    "--base",
    metavar="URL",
    help="Where people reach the server.  [default: the store, where it is one]",
)
@secret_file_option
@url_option
def link(  # noqa: PLR0913 - click passes each option by its name
    *,
    id: str,
    expires: timedelta | datetime,
    name: str | None,
    base: str | None,
    secret_file: str | None,
    url: str | None,
) -> Status:
    """
    Print a link by which a person can look at ID, and settle it.

    It leads to a page of the server, which needs a secret of the server's. Whoever has
    the link can do that, until it is over; looking changes nothing.
    """
    with needs_extra("links need", "server"):
        from dp_core._access import signing_secrets  # noqa: PLC0415 - an extra

    secret = signing_secrets(secret_file)[0]

    async def make() -> str:
        async with connect(url) as promises:
            return await promises.link(
                id, expires=expires, by=name, base=base, secret=secret
            )

    say(anyio.run(make))
    return Status.RESOLVED
