"""`find_command`: commands of packages, entry points of ``dp_core.commands``."""

from __future__ import annotations

import click

from dp_core import hookspecs
from dp_core._plugins import package_of, plugin_manager, plugin_points

__all__ = ["find_command", "installed_commands"]


def installed_commands() -> dict[str, str]:
    """Return ``{command: package that brings it}``; nothing is imported."""
    points = plugin_points(hookspecs.COMMANDS)
    return {point.name: package_of(point) for point in points}


def find_command(name: str) -> click.Command | None:
    """
    Return the command that a package brings, or None if none does.

    Raises:
        click.ClickException: It cannot be imported; the error says what to do.
    """
    commands: list[click.Command] = []
    manager = plugin_manager()
    for point in plugin_points(hookspecs.COMMANDS, name):
        try:
            manager.register(point.load(), name=point.value)
        except Exception as error:
            raise click.ClickException(
                f"the command {name!r} cannot be imported ({type(error).__name__}: "
                f"{error}); pip install '{package_of(point)}'"
            ) from error
    manager.hook.dp_register_commands(register=commands.append)
    return next((command for command in commands if command.name == name), None)
