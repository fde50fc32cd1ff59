"""`token`: the command that makes tokens with some rights."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from dp_core._clock import now
from dp_core._errors import BackendUnavailableError
from dp_core._extras import without_extra
from dp_core._terms import moment_after
from dp_core.cli._examples import examples
from dp_core.cli._output import say
from dp_core.cli._status import Status
from dp_core.cli._times import time

__all__ = ["secret_file_option", "token"]

secret_file_option = click.option(
    "--secret-file",
    metavar="PATH",
    help="The secrets that sign tokens, one a line, in a file that only you can read;"
    " the first one signs, all verify.  [default: $DP_SECRET_FILE]",
)


@click.command(
    epilog=examples(
        "dp token --secret-file ./secrets --rights list,read --ids '*' --expires 9d",
        "dp token --secret-file ./secrets --rights settle --id a-17 --expires 2h",
    ),
)
@click.option(
    "--rights",
    required=True,
    metavar="RIGHTS",
    help="What it allows: some of read, create, settle, dispose and list, with commas"
    " between them.",
)
@click.option(
    "--ids",
    multiple=True,
    metavar="PATTERN",
    help="For which promises: an id, or the beginning of ids with an asterisk after it;"
    " repeatable.",
)
@click.option(
    "--id", metavar="ID", help="For one promise, whose id may end in an asterisk."
)
@click.option(
    "--expires",
    callback=time,
    required=True,
    metavar="TIME",
    help="Until when: from now, such as 3d, or a moment such as 2026-11-26T14:30:00Z.",
)
@click.option(
    "--for", "name", metavar="NAME", help="Who has it: what they settle is by NAME."
)
@secret_file_option
def token(  # noqa: PLR0913 - options
    *,
    rights: str,
    ids: tuple[str, ...],
    id: str | None,
    expires: timedelta | datetime,
    name: str | None,
    secret_file: str | None,
) -> Status:
    """
    Print a token that allows some things with some promises, for a time.

    A server with the same secrets takes it; it is sent as DP_TOKEN is. It cannot be
    taken back but by taking away the secret that has signed it.
    """
    try:
        from dp_core._access import (  # noqa: PLC0415 - an extra
            Access,
            signing_secrets,
            write_access,
        )
    except ModuleNotFoundError as error:
        missing = without_extra(error, "tokens need", "server")
        raise BackendUnavailableError(str(missing)) from None

    if bool(ids) == (id is not None):
        raise click.UsageError("name the promises by --ids, or the one by --id")
    secrets = signing_secrets(secret_file)
    access = Access(
        frozenset(filter(None, (right.strip() for right in rights.split(",")))),
        ids or None,
        id,
        name,
    )
    if isinstance(expires, timedelta):
        expires = moment_after(now(), expires)
    if expires <= now():
        raise click.UsageError("a token that is over allows nothing: --expires later")
    say(write_access(access, expires, secrets))
    return Status.RESOLVED
