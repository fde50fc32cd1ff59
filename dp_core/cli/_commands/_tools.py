"""`backends`, `completion`: the commands on the installation."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from dp_core._plugins import (
    Plugin,
    PluginFailure,
    built_in,
    installed_plugins,
    probe,
    probe_here,
)
from dp_core._text import for_terminal
from dp_core.cli._examples import examples
from dp_core.cli._input import json_option
from dp_core.cli._output import say, say_json
from dp_core.cli._status import Status
from dp_core.hookspecs import PROJECT

__all__ = ["backends", "completion"]

_COLUMNS: Final = ("scheme", "package", "error")


@click.command(
    epilog=examples(
        "dp backends",
        "dp backends --json",
    ),
)
@json_option
def backends(*, as_json: bool) -> Status:
    """List the URL schemes of stores, their packages, and whether they load."""
    plugins = installed_plugins(PROJECT)
    rows = [(plugin.name, plugin.package, _failure(plugin)) for plugin in plugins]
    rows.sort(key=lambda row: row[:2])
    if as_json:
        say_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
        return Status.RESOLVED
    schemes = max(len(scheme) for scheme, _, _ in rows)
    packages = max(len(package) for _, package, _ in rows)
    for scheme, package, failure in rows:
        line = " ".join((failure or "ok").split())
        say(for_terminal(f"{scheme:<{schemes}}  {package:<{packages}}  {line}"))
    return Status.RESOLVED


def _failure(plugin: Plugin) -> str | None:
    """Return the reason why a plugin's backend cannot be used, or None."""
    if plugin.is_ours:
        return probe_here(plugin.name)
    if built_in(PROJECT, plugin.name):
        return f"not used: {plugin.name}: is built in"
    if plugin.name == "?":
        try:
            plugin.load()
        except PluginFailure as failure:
            return str(failure)
    return probe(plugin.name)


@click.command(
    epilog=examples(
        'eval "$(dp completion bash)"                   # in ~/.bashrc',
        'eval "$(dp completion zsh)"                    # in ~/.zshrc, after compinit',
        "dp completion fish | source                    # in config.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> Status:
    """Print the code by which SHELL completes dp's commands."""
    make = get_completion_class(shell)
    assert make is not None  # noqa: S101 - click has these three
    say(make(ctx.find_root().command, {}, "dp", "_DP_COMPLETE").source())
    return Status.RESOLVED
