"""`backends`, `completion`: the commands on the installation."""

from __future__ import annotations

import json
from typing import Final

import click
from click.shell_completion import get_completion_class

from dp_core._errors import DurablePromiseError
from dp_core._plugins import find_factory, installed_schemes
from dp_core.cli._options import json_option
from dp_core.cli._output import say
from dp_core.cli._status import Status

__all__ = ["backends", "completion"]

_COLUMNS: Final = ("scheme", "package", "error")


@click.command()
@json_option
def backends(*, as_json: bool) -> Status:
    """List the URL schemes of stores, their packages, and whether they load."""
    rows = [
        (scheme, package, _failure(scheme))
        for scheme, package in sorted(installed_schemes().items())
    ]
    if as_json:
        say(json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows]))
        return Status.RESOLVED
    for scheme, package, failure in rows:
        say(f"{scheme:<10} {package:<24} {failure or 'ok'}")
    return Status.RESOLVED


def _failure(scheme: str) -> str | None:
    """Return the reason why the backend of *scheme* cannot be used, or None."""
    try:
        find_factory(scheme, f"{scheme}:")
    except DurablePromiseError as error:
        return str(error)
    return None


@click.command()
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> Status:
    """
    Print the code by which SHELL completes dp's commands.

    \b
    bash:  eval "$(dp completion bash)"       in ~/.bashrc
    zsh:   eval "$(dp completion zsh)"        in ~/.zshrc, after compinit
    fish:  dp completion fish | source        in ~/.config/fish/config.fish
    """  # noqa: D301 - it is the character that click looks for
    make = get_completion_class(shell)
    assert make is not None  # noqa: S101 - click has these three
    say(make(ctx.find_root().command, {}, "dp", "_DP_COMPLETE").source())
    return Status.RESOLVED
