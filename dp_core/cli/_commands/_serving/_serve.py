"""`serve`: the command that makes a store reachable over HTTP."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import anyio
import click

from dp_core._errors import BackendUnavailableError
from dp_core._tokens import token_file_from_environment, token_from_environment
from dp_core.cli._commands._serving._options import secret_file_option
from dp_core.cli._examples import examples
from dp_core.cli._input import Number, WholeNumber, url_option
from dp_core.cli._output import say
from dp_core.cli._status import Status

__all__ = ["serve"]


@click.command(
    epilog=examples(
        "dp serve",
        "dp serve --url sqlite:./promises.db --port 9090",
        "dp serve --host 0.0.0.0 --token-file ./token",
        "dp serve --host 0.0.0.0 --secret-file ./secrets",
        "dp serve --secret-file ./secrets --public-url https://example.com/dp",
        "dp serve --secret-file ./secrets --notify-allow hooks.example.com",
    ),
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="HOST",
    show_default=True,
    help="The name or address to listen at.",
)
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    default=8080,
    metavar="PORT",
    show_default=True,
    help="The port to listen at; 0 for any that is free.",
)
@click.option(
    "--token-file",
    metavar="PATH",
    help="The token that requests must carry, in a file that only you can read."
    "  [default: $DP_TOKEN, else $DP_TOKEN_FILE, else no token]",
)
@secret_file_option
@click.option(
    "--public-url",
    metavar="URL",
    help="Where people see the server, if a proxy in front ends TLS or has a prefix"
    " for it.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME[:PORT]",
    help="Another name by which the server may be called.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web site whose pages may send requests, such as https://example.com.",
)
@click.option(
    "--notify-allow",
    multiple=True,
    metavar="HOST[:PORT]",
    help="A host that callbacks may go to; an asterisk is for all that are public;"
    " repeatable.  [default: none]",
)
@click.option(
    "--access-log",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Write a line of JSON for each request, to FILE or stderr.",
)
@click.option(
    "--otel",
    is_flag=True,
    help="Make spans of OpenTelemetry, and send them to where OTEL_… in the environment"
    " says.",
)
@click.option(
    "--idle-seconds",
    type=Number(0.001, 1_000_000),
    default=90,
    metavar="SECONDS",
    show_default=True,
    help="The longest silence of a connection; longer than that of a proxy in front.",
)
@url_option
def serve(  # noqa: PLR0913 - options
    url: str | None,
    host: str,
    port: int,
    token_file: str | None,
    secret_file: str | None,
    *,
    otel: bool,
    **settings: Any,
) -> Status:
    """
    Serve a store over HTTP, until SIGTERM or Ctrl-C.

    Without a token or a secret it listens only where no other machine can reach it. The
    token allows everything; those that `dp token` makes with a secret allow a part.
    """
    # An extra, and too large to load for the other commands.
    try:
        from dp_core import server  # noqa: PLC0415 - an extra
        from dp_core._access import (  # noqa: PLC0415 - the same
            secrets_file_from_environment,
        )
    except ImportError as error:
        raise BackendUnavailableError(str(error)) from None

    file = token_file_from_environment(token_file)
    token = token_from_environment() if file is None else None
    asked = server.Settings(
        token=token,
        token_file=file,
        secret_file=secrets_file_from_environment(secret_file),
        **settings,
    )
    with _spans() if otel else nullcontext():
        anyio.run(server.serve, url, host, port, asked, say)
    return Status.RESOLVED


def _spans() -> AbstractContextManager[None]:
    # Loaded for who asks for spans alone.
    from dp_core.cli._commands._serving._spans import (  # noqa: PLC0415
        sending_spans,
    )

    return sending_spans()
