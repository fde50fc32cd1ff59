"""`check_installation`: the interpreter, this library, and the plugins of others."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dp_core._plugins import (
    Plugin,
    PluginFailure,
    built_in,
    installed_plugins,
    probe,
    probe_command,
)
from dp_core._version import __version__
from dp_core.backend import Check
from dp_core.hookspecs import COMMANDS, PROJECT

__all__ = ["check_installation"]

_PACKAGE: Final = "durable-promises"


def check_installation() -> Iterator[Check]:
    """Yield what is found; plugins of others are loaded in other processes."""
    yield Check(
        "Python",
        "ok",
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()} {platform.release()} ({platform.machine()})",
    )
    yield _library()
    yield from _plugins()


def _library() -> Check:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow

    try:
        installed = version(_PACKAGE)
    except PackageNotFoundError:
        # Vendored, or in one file: the library works so, too.
        installed = __version__
    if installed != __version__:
        return Check(
            "library",
            "warning",
            f"{_PACKAGE} {__version__} is used from {Path(__file__).parents[2]}, and "
            f"{installed} is installed",
            "look at PYTHONPATH and the working directory, or reinstall the package",
        )
    return Check("library", "ok", f"{_PACKAGE} {__version__}")


def _plugins() -> Iterator[Check]:
    """Yield the packages of others that do not load; else that all is well."""
    names: list[str] = []
    for group, is_failing in ((PROJECT, probe), (COMMANDS, probe_command)):
        for plugin in installed_plugins(group):
            if plugin.is_ours:
                continue  # Of these, only the one that is used has to load.
            word = f"{plugin.name}:" if group == PROJECT else f"dp {plugin.name}"
            failure = _failure(plugin, group) or is_failing(plugin.name)
            if failure is None:
                names.append(word)
                continue
            text, _, advice = failure.partition("; ")
            yield Check(
                "plugin",
                "warning",
                f"{word} cannot be used: {text}",
                advice or f"upgrade, reinstall or uninstall {plugin.package}",
            )
    of_others = ", ".join(sorted(names)) or "none"
    yield Check("plugins", "ok", f"{of_others} of other packages")


def _failure(plugin: Plugin, group: str) -> str | None:
    """Return why a plugin is not used, whatever it does."""
    if built_in(group, plugin.name):
        return f"{plugin.package} brings it, and it is built in"
    if plugin.name != "?":
        return None
    try:
        plugin.load()
    except PluginFailure as failure:
        return str(failure)
    return None
