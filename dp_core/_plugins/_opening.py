"""
`open_backend`: from a store URL to a backend, through the installed plugins.

A scheme is looked up among the installed plugins, and only its own one is imported,
so that a broken or slow plugin harms only those who use it. The scan for those of
others takes about 10 ms, so results are cached until `sys.path` changes.
"""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from functools import partial
from typing import Final

import pluggy

from dp_core import hookspecs
from dp_core._errors import DuplicateBackendError, UnknownBackendError
from dp_core._plugins._installed import (
    Plugin,
    PluginFailure,
    built_in,
    installed_plugins,
)
from dp_core._text import quoted, shown, type_name
from dp_core.backend import Backend
from dp_core.hookspecs import PROJECT, BackendFactory

__all__ = ["find_factory", "installed_schemes", "open_backend", "plugin_manager"]

_found: Final[dict[str, tuple[list[str], BackendFactory]]] = {}
"""``{scheme: (the sys.path of the scan, factory of its backends)}``."""

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
# The address of a server without its scheme: with a port, or surely no path.
_ADDRESS: Final = re.compile(
    r"""(?://)?(?:
        (?:[a-z0-9._-]+ | \[[0-9a-f:.]+(?:%[^\]/]+)?\]) : (?P<port>[0-9]{1,5})
        | localhost | [0-9]{1,3}(?:\.[0-9]{1,3}){3} | \[[0-9a-f:.]+(?:%[^\]/]+)?\]
    )(?:[/?].*)?""",
    re.IGNORECASE | re.VERBOSE,
)
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f-\x9f]")


def open_backend(url: str) -> Backend:
    """
    Return a new handle on the store that *url* names.

    Raises:
        UnknownBackendError: No installed plugin knows the scheme, or the one that
            does fails.
        DuplicateBackendError: Two plugins claim it.
    """
    if not isinstance(url, str):
        # A caller without a type checker may hand over anything.
        raise UnknownBackendError(shown(url), "a store URL is a string, or a Path")
    if not url:
        raise UnknownBackendError(
            url,
            "it is empty (a variable without a value?); write one such as "
            "'file:./promises', or leave it out",
        )
    if _CONTROL.search(url):
        raise UnknownBackendError(
            url,
            "there is a control character in it (the CR of a line end?); remove it",
        )
    match = _SCHEME.match(url)
    if match is None:
        server = _server_url(url)
        raise UnknownBackendError(
            url,
            f"a store URL starts with a scheme, one of {_known()}; for a directory "
            f"write {quoted('file:' + url)}"
            if server is None
            else f"for a server write {quoted(server)}",
        )
    return find_factory(match[1].lower(), url)(url)


def _server_url(address: str) -> str | None:
    """Return the URL of the server at an address; None where it is something else."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return None
    scheme = "https" if match["port"] == "443" else "http"
    return f"{scheme}://{address.removeprefix('//')}"


def installed_schemes() -> dict[str, str]:
    """Return ``{scheme: package that provides it}`` of all installed plugins."""
    plugins = reversed(installed_plugins(PROJECT))  # Ours come last, and win.
    return {plugin.name: plugin.package for plugin in plugins}


def find_factory(scheme: str, url: str) -> BackendFactory:
    """
    Return the factory of the backends of *scheme*; errors name *url*.

    Raises:
        UnknownBackendError: No plugin knows the scheme, or it does not load.
        DuplicateBackendError: Two plugins claim it.
    """
    path, factory = _found.get(scheme, (None, None))
    if factory is None or path != sys.path:
        plugin = _claimant(scheme, url)
        try:
            factory = _registered(plugin)
        except PluginFailure as failure:
            lacks_module = isinstance(failure.__cause__, ModuleNotFoundError)
            advice = (
                f"pip install {plugin.package!r}"
                if plugin.is_ours and lacks_module
                else "reinstall that package"
            )
            raise UnknownBackendError(url, f"{failure}; {advice}") from failure
        if not plugin.is_ours:
            factory = partial(_make, plugin, factory)
        _found[scheme] = sys.path.copy(), factory
    return factory


def _claimant(scheme: str, url: str) -> Plugin:
    """Return the one plugin that is installed for *scheme*."""
    ours = built_in(PROJECT, scheme)
    if ours is not None:
        return ours
    claims = [plugin for plugin in installed_plugins(PROJECT) if plugin.name == scheme]
    if len(claims) > 1:
        named = (f"{plugin.package} ({plugin.module})" for plugin in claims)
        raise DuplicateBackendError(scheme, tuple(sorted(named)))
    if not claims and (server := _server_url(url)) is not None:
        # Not before: the scheme of another package may be named like a host.
        raise UnknownBackendError(url, f"for a server write {quoted(server)}")
    if not claims:
        alike = get_close_matches(scheme, installed_schemes(), n=1)
        advice = f"write {alike[0]}:, if you mean that, or " if alike else ""
        raise UnknownBackendError(
            url,
            f"{advice}install the package that brings {scheme}:; the schemes known "
            f"here are {_known()}",
        )
    return claims[0]


def _registered(plugin: Plugin) -> BackendFactory:
    """
    Return the factory that a plugin registers for its scheme.

    Raises:
        PluginFailure: It fails, or registers none.
    """
    factories: dict[str, BackendFactory] = {}

    def register(name: str, factory: BackendFactory) -> None:
        if name in factories:
            raise DuplicateBackendError(name, (repr(factories[name]), repr(factory)))
        factories[name] = factory

    module = plugin.load()
    manager = plugin_manager()
    hook = manager.hook.dp_register_backends
    plugin.attempt(
        "has not a valid hook", partial(manager.register, module, name=plugin.module)
    )
    plugin.attempt("has a hook that fails", partial(hook, register=register))
    if plugin.name not in factories:
        raise plugin.failure(f"does not register {plugin.name!r}")
    factory = factories[plugin.name]
    if not callable(factory):
        raise plugin.failure(
            f"registers {type_name(type(factory))} for {plugin.name!r}, which is not "
            "a valid factory: a factory is a function from a store URL to a Backend"
        )
    return factory


def _make(plugin: Plugin, factory: BackendFactory, url: str) -> Backend:
    """Return what another package's factory makes, if it is a backend."""
    try:
        backend: object = plugin.attempt(
            "fails to make a backend", partial(factory, url)
        )
        if not isinstance(backend, Backend):
            made = type_name(type(backend))
            raise plugin.failure(
                f"makes {made}, which is not a valid backend: a subclass of Backend"
            )
    except PluginFailure as failure:
        raise UnknownBackendError(url, str(failure)) from failure
    return backend


def plugin_manager() -> pluggy.PluginManager:
    """Return a manager that knows our hooks and no plugin yet."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _known() -> str:
    """Return the schemes, and where one is not ours the package that provides it."""
    ours = {plugin.name for plugin in installed_plugins(PROJECT) if plugin.is_ours}
    return ", ".join(
        f"{scheme}:" if scheme in ours else f"{scheme}: ({package})"
        for scheme, package in sorted(installed_schemes().items())
    )
