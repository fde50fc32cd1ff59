"""
`open_backend`: from a store URL to a backend, through the installed plugins.

A scheme is looked up among the installed entry points, and only its own plugin
is imported, so that a broken or slow plugin harms only those who use it. The
scan takes about 10 ms, so results are cached until `sys.path` changes.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

import pluggy

from dp_core import hookspecs
from dp_core._errors import DuplicateBackendError, UnknownBackendError
from dp_core.backend import Backend
from dp_core.hookspecs import BackendFactory

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "find_factory",
    "installed_schemes",
    "open_backend",
    "package_of",
    "plugin_manager",
    "plugin_points",
]

_found: Final[dict[str, tuple[list[str], BackendFactory]]] = {}
"""``{scheme: (the sys.path of the scan, factory of its backends)}``."""

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


def open_backend(url: str) -> Backend:
    """
    Return a new handle on the store that *url* names.

    Raises:
        UnknownBackendError: No installed plugin knows the scheme.
        DuplicateBackendError: Two plugins claim it.
    """
    match = _SCHEME.match(url)
    if match is None:
        raise UnknownBackendError(
            url,
            f"a store URL starts with a scheme, one of {_known()}; "
            f"for a directory write {'file:' + url!r}",
        )
    return find_factory(match[1].lower(), url)(url)


def installed_schemes() -> dict[str, str]:
    """Return ``{scheme: package that provides it}`` of all installed plugins."""
    return {point.name: package_of(point) for point in _entry_points()}


def find_factory(scheme: str, url: str) -> BackendFactory:
    """
    Return the factory of the backends of *scheme*; errors name *url*.

    Raises:
        UnknownBackendError: No plugin knows the scheme, or it does not load.
        DuplicateBackendError: Two plugins claim it.
    """
    path, factory = _found.get(scheme, (None, None))
    if factory is None or path != sys.path:
        factory = _search(scheme, url)
        _found[scheme] = sys.path.copy(), factory
    return factory


def _search(scheme: str, url: str) -> BackendFactory:
    claims = _entry_points(scheme)
    if len(claims) > 1:
        plugins = tuple(sorted(f"{package_of(p)} ({p.value})" for p in claims))
        raise DuplicateBackendError(scheme, plugins)
    factories: dict[str, BackendFactory] = {}

    def register(name: str, factory: BackendFactory) -> None:
        if name in factories:
            raise DuplicateBackendError(name, (repr(factories[name]), repr(factory)))
        factories[name] = factory

    manager = plugin_manager()
    for point in claims:
        manager.register(_load(point, url), name=point.value)
    manager.hook.dp_register_backends(register=register)
    if scheme in factories:
        return factories[scheme]
    if claims:
        raise UnknownBackendError(
            url,
            f"{package_of(claims[0])} has a plugin for {scheme!r} that does not "
            "register it; report this to its authors",
        )
    raise UnknownBackendError(
        url,
        f"the schemes known here are {_known()}; install the package that brings "
        f"{scheme}:",
    )


def plugin_manager() -> pluggy.PluginManager:
    """Return a manager that knows our hooks and no plugin yet."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def plugin_points(group: str, name: str | None = None) -> list[EntryPoint]:
    """Return the entry points of a group, those with one name where it is given."""
    # Half of this package's import time, and needed only to connect.
    from importlib.metadata import entry_points  # noqa: PLC0415

    points = entry_points(group=group)
    if name is not None:
        points = points.select(name=name)
    # One distribution can be found twice: installed, and in a checkout.
    distinct = {(point.name, point.value, package_of(point)): point for point in points}
    return list(distinct.values())


def package_of(point: EntryPoint) -> str:
    """Return the package of an entry point, with the extras that it needs."""
    extras = f"[{','.join(point.extras)}]" if point.extras else ""
    return f"{point.dist.name}{extras}" if point.dist else "an unnamed package"


def _entry_points(scheme: str | None = None) -> list[EntryPoint]:
    return plugin_points(hookspecs.PROJECT, scheme)


def _load(point: EntryPoint, url: str) -> object:
    try:
        return point.load()
    except Exception as error:
        raise UnknownBackendError(
            url,
            f"its plugin {point.value!r} of {package_of(point)} cannot be imported "
            f"({type(error).__name__}: {error}); reinstall that package",
        ) from error


def _known() -> str:
    schemes = installed_schemes()
    named = (f"{scheme}: ({schemes[scheme]})" for scheme in sorted(schemes))
    return ", ".join(named) or "none"
