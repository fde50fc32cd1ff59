"""
Hooks by which a package adds a backend, or commands of the program ``dp``.

For a backend, name an entry point of the group ``dp_core`` after your URL scheme:

.. code-block:: toml

    [project.entry-points.dp_core]
    lmdb = "dp_lmdb"

and let the module it names implement `dp_register_backends`:

.. code-block:: python

    import dp_core


    @dp_core.hookimpl
    def dp_register_backends(register):
        register("lmdb", LmdbBackend)  # called with the store URL

The module is imported only when somebody connects to ``lmdb:…``.

For a command, name an entry point of the group ``dp_core.commands`` after it,
and implement `dp_register_commands`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import pluggy

if TYPE_CHECKING:
    import click

    from dp_core.backend import Backend

__all__ = [
    "COMMANDS",
    "PROJECT",
    "BackendFactory",
    "Register",
    "RegisterCommand",
    "dp_register_backends",
    "dp_register_commands",
    "hookimpl",
]

PROJECT: Final = "dp_core"
COMMANDS: Final = "dp_core.commands"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of a hook in a plugin."""

BackendFactory = Callable[[str], "Backend"]
"""A function that makes a backend from a store URL, without I/O."""


class Register(Protocol):
    """The function by which a plugin announces a backend."""

    def __call__(self, scheme: str, factory: BackendFactory) -> None: ...


@hookspec
def dp_register_backends(register: Register) -> None:
    """
    Announce backends: call *register* once for each URL scheme.

    Args:
        register: ``register(scheme, factory)``. *scheme* is the part of a store
            URL before its first colon, in lower case (RFC 3986 §3.1).
            *factory* gets the whole URL and returns a `Backend`; it does no
            I/O, so that naming a store never blocks.
    """


class RegisterCommand(Protocol):
    """The function by which a plugin announces a command."""

    def __call__(self, command: click.Command) -> None: ...


@hookspec
def dp_register_commands(register: RegisterCommand) -> None:
    """
    Announce commands of ``dp``: call *register* once for each.

    Args:
        register: ``register(command)``. The command's name is that of the
            entry point through which the plugin was found; it may be a group
            of commands. It returns the exit code, a `dp_core.cli.Status`, and
            raises a `dp_core.DurablePromiseError` where it fails.
    """
