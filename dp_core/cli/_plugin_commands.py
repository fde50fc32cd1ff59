"""`find_command`: commands of packages, entry points of ``dp_core.commands``."""

from __future__ import annotations

from functools import partial

import click

from dp_core._plugins import (
    Plugin,
    PluginFailure,
    built_in,
    installed_plugins,
    plugin_manager,
)
from dp_core.hookspecs import COMMANDS

__all__ = ["find_command", "installed_commands"]


def installed_commands() -> dict[str, str]:
    """Return ``{command: package that brings it}``; nothing is imported."""
    plugins = reversed(installed_plugins(COMMANDS))  # Ours come last, and win.
    return {plugin.name: plugin.package for plugin in plugins}


def find_command(name: str) -> click.Command | None:
    """
    Return the command that a package brings, or None if none does.

    Raises:
        click.ClickException: The package fails; the error says what to do.
    """
    ours = built_in(COMMANDS, name)
    plugins = [ours] if ours else installed_plugins(COMMANDS)
    claims = [plugin for plugin in plugins if plugin.name == name]
    if not claims:
        return None
    if len(claims) > 1:
        packages = " and ".join(sorted(plugin.package for plugin in claims))
        raise click.ClickException(f"the command {name!r} is brought by {packages}")
    (plugin,) = claims
    try:
        return _registered(plugin)
    except PluginFailure as failure:
        raise click.ClickException(
            f"the command {name!r} cannot be used: {failure}; "
            f"pip install '{plugin.package}'"
        ) from failure


def _registered(plugin: Plugin) -> click.Command:
    """
    Return the command that a plugin registers.

    Raises:
        PluginFailure: It fails, or registers none of that name.
    """
    commands: list[click.Command] = []
    module = plugin.load()
    manager = plugin_manager()
    hook = manager.hook.dp_register_commands
    plugin.attempt(
        "has not a valid hook", partial(manager.register, module, name=plugin.module)
    )
    plugin.attempt("has a hook that fails", partial(hook, register=commands.append))
    for command in commands:
        if isinstance(command, click.Command) and command.name == plugin.name:
            return command
    raise plugin.failure(f"does not register a command {plugin.name!r}")
