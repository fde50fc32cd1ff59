"""`token`: the command that makes tokens with some rights."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from dp_core._clock import now
from dp_core._terms import moment_after
from dp_core.cli._commands._serving._options import (
    expires_option,
    needs_extra,
    secret_file_option,
)
from dp_core.cli._examples import examples
from dp_core.cli._output import say
from dp_core.cli._status import Status

__all__ = ["token"]


@click.command(
    epilog=examples(
        "dp token --secret-file ./secrets --rights list,read --ids '*' --expires 9d",
        "dp token --secret-file ./secrets --rights settle --id a-17 --expires 2h",
        "dp token --secret-file ./secrets --webhook-key",
    ),
)
@click.option(
    "--rights",
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
@expires_option(required=False)
@click.option(
    "--for", "name", metavar="NAME", help="Who has it: what they settle is by NAME."
)
@click.option(
    "--webhook-key",
    is_flag=True,
    help="Print the keys by which receivers verify callbacks, one for each secret.",
)
@secret_file_option
def token(  # noqa: PLR0913 - options
    *,
    rights: str | None,
    ids: tuple[str, ...],
    id: str | None,
    expires: timedelta | datetime | None,
    name: str | None,
    secret_file: str | None,
    webhook_key: bool,
) -> Status:
    """
    Print a token that allows some things with some promises, for a time.

    A server with the same secrets takes it; it is sent as DP_TOKEN is. It cannot be
    taken back but by taking away the secret that has signed it.

    With --webhook-key it prints what receivers of callbacks need instead. That key
    verifies; no token can be made with it.
    """
    with needs_extra("tokens need", "server"):
        from dp_core._access import (  # noqa: PLC0415 - an extra
            Access,
            signing_secrets,
            webhook_keys,
            write_access,
        )

    if webhook_key:
        if rights or ids or id is not None or expires or name:
            raise click.UsageError("--webhook-key goes with --secret-file alone")
        for key in webhook_keys(signing_secrets(secret_file)):
            say(key)
        return Status.RESOLVED
    if rights is None or expires is None:
        raise click.UsageError(
            "say what it allows, by --rights, and until when, by --expires"
        )
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
