"""`run`: the program, its commands, and the exit codes of their errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from dp_core._errors import DurablePromiseError
from dp_core._version import __version__
from dp_core.cli._commands import COMMANDS
from dp_core.cli._doctor import doctor, show_overview
from dp_core.cli._examples import examples
from dp_core.cli._input import json_option, url_option
from dp_core.cli._output import NoticeHandler, all_was_said, complain_once, unwritable
from dp_core.cli._plugin_commands import find_command, installed_commands
from dp_core.cli._status import Status

__all__ = ["run"]


_COMMANDS: Final = {**COMMANDS, "doctor": doctor}


class _Program(click.Group):
    """Commands in the order in which a newcomer meets them; plugins' come last."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *installed_commands()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = super().get_command(ctx, name)
        package = None if command else installed_commands().get(name)
        # Listed without importing it, which may be slow, or fail.
        return click.Command(name, help=f"By {package}.") if package else command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name not in self.commands:
            command = find_command(name)
        return name, command, rest

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _broken_pipes_said():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _broken_pipes_said():
            return super().invoke(ctx)


@contextmanager
def _broken_pipes_said() -> Iterator[None]:
    """Say that nobody reads the help; click would exit with 1."""
    try:
        yield
    except BrokenPipeError as error:
        raise unwritable(error) from None


@click.group(
    cls=_Program,
    commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    epilog=examples(
        "dp get greeting &",
        "dp resolve greeting hello",
    ),
)
@url_option
@json_option
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context, url: str | None, *, as_json: bool) -> Status | None:
    """
    Await and settle durable promises: promises that outlive their processes.

    The exit code says the state afterwards: 0 resolved (or created, or disposed
    of), 1 rejected, 3 pending, 2 an error, 130 interrupted. A value goes to stdout
    (text as it is, other values as JSON), all else to stderr. An id or value
    that begins with "-" comes after "--". For completion in your shell see
    "dp completion --help".

    Without a command, it shows the newest promises of the store, or how to begin.
    """
    # Options before the command hold for every command that does not repeat them.
    ctx.default_map = {name: {"url": url, "as_json": as_json} for name in _COMMANDS}
    return None if ctx.invoked_subcommand else show_overview(url, as_json=as_json)


def run() -> object:
    """Run the program, and return its exit code."""
    # Logs of the server, which are not for whoever types, have lines of their own.
    logging.getLogger("dp_backends").addHandler(NoticeHandler(logging.WARNING))
    try:
        status: object = program.main(prog_name="dp", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = Status.FAILED
    except click.Abort as error:
        if error.__cause__ is not None and not isinstance(
            error.__cause__, KeyboardInterrupt
        ):
            raise error.__cause__ from None
        status = Status.INTERRUPTED
    except click.ClickException as error:
        complain_once(_advice(error))
        status = Status.FAILED
    except DurablePromiseError as error:
        complain_once(str(error))
        status = Status.FAILED
    return status if all_was_said() else Status.FAILED


def _advice(error: click.ClickException) -> str:
    """Return the message for a wrong command line, with a hint what to do."""
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        text += " (an argument that begins with '-' comes after '--')"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text += f"; see '{error.ctx.command_path} --help'"
    return text
