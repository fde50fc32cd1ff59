"""
How a package adds a backend.

Name an entry point of the group ``dp_core`` after your URL scheme:

.. code-block:: toml

    [project.entry-points.dp_core]
    sqlite = "dp_sqlite"

and let the module it names implement the one hook:

.. code-block:: python

    import dp_core


    @dp_core.hookimpl
    def dp_register_backends(register):
        register("sqlite", SqliteBackend)  # called with the store URL

The module is imported only when somebody connects to ``sqlite:…``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import pluggy

if TYPE_CHECKING:
    from dp_core.backend import Backend

__all__ = ["BackendFactory", "Register", "dp_register_backends", "hookimpl"]

PROJECT: Final = "dp_core"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of a hook in a plugin."""

BackendFactory = Callable[[str], "Backend"]
"""Makes a handle from a store URL, without I/O and without waiting."""


class Register(Protocol):
    """What a plugin calls to announce a backend."""

    def __call__(self, scheme: str, factory: BackendFactory) -> None: ...


@hookspec
def dp_register_backends(register: Register) -> None:
    """
    Announce backends: call *register* once for each URL scheme.

    Args:
        register: ``register(scheme, factory)``. *scheme* is what stands before
            the first colon of a store URL, in lower case (RFC 3986 §3.1).
            *factory* gets the whole URL and returns a `Backend`; it does no
            I/O, so that naming a store never blocks.
    """
