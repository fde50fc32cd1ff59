"""
`installed_plugins`: the modules that implement our hooks, without importing any.

The library's own are in a table, so that they work where no metadata of an
installation says so: vendored, frozen into one file, or beside metadata of another
version. All others are found by their entry points. What is wrong with one of them,
or with its metadata, is its own: it is found out when it is used, and said there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar, final

from dp_core._errors import DurablePromiseError
from dp_core._text import described
from dp_core.hookspecs import COMMANDS, PROJECT

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

__all__ = ["Plugin", "PluginFailure", "built_in", "installed_plugins"]

T = TypeVar("T")

OURS: Final = "durable-promises"

# By name, and not by an import: nothing in dp_core depends on a backend.
_BUILT_IN: Final = {
    PROJECT: {
        "file": "dp_backends.file",
        "http": "dp_backends.http",
        "https": "dp_backends.http",
        "memory": "dp_backends.memory",
        "postgres": "dp_backends.sql.postgresql",
        "postgresql": "dp_backends.sql.postgresql",
        "sqlite": "dp_backends.sql.sqlite",
    },
    COMMANDS: {"restate": "dp_backends.restate"},
}
_EXTRAS: Final = {
    "dp_backends.restate": "[restate]",
    "dp_backends.sql.postgresql": "[postgresql]",
    "dp_backends.sql.sqlite": "[sqlite]",
}


class PluginFailure(Exception):  # noqa: N818 - an error of ours is made from it
    """A plugin did something that is not ours; the text says what, in one line."""


@final
@dataclass(frozen=True, slots=True)
class Plugin:
    """
    A module that implements hooks.

    Attributes:
        name: The URL scheme or command that it is installed for.
        module: Its name, as in the entry point.
        package: The package that brings it, with the extras that it needs.
        is_ours: Whether it is in the table of this library.
    """

    name: str
    module: str
    package: str
    is_ours: bool
    _load: Callable[[], object] = field(repr=False, compare=False)

    def load(self) -> object:
        """
        Import the module, and return it.

        Raises:
            PluginFailure: It cannot be imported.
        """
        return self.attempt("cannot be imported", self._load)

    def attempt(self, failure: str, action: Callable[[], T]) -> T:
        """
        Return what *action* returns, which calls code of the plugin.

        Raises:
            PluginFailure: It raised something; *failure* says what that means.
            DurablePromiseError: It raised one, on purpose.
        """
        try:
            return action()
        except (DurablePromiseError, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit() at import, too
            raise self.failure(f"{failure} ({described(error)})") from error

    def failure(self, failure: str) -> PluginFailure:
        """Return the error that says what is wrong with this plugin."""
        return PluginFailure(f"the plugin {self.module!r} of {self.package} {failure}")


def built_in(group: str, name: str) -> Plugin | None:
    """Return the library's own plugin of that name, if there is one."""
    module = _BUILT_IN[group].get(name)
    return None if module is None else _built_in(name, module)


def _built_in(name: str, module: str) -> Plugin:
    load = partial(import_module, module)
    package = OURS + _EXTRAS.get(module, "")
    return Plugin(name, module, package, is_ours=True, _load=load)


def installed_plugins(group: str) -> list[Plugin]:
    """Return the plugins of a group, ours first; those of others are in no order."""
    ours = [_built_in(name, module) for name, module in _BUILT_IN[group].items()]
    theirs: dict[tuple[str, str, str], Plugin] = {}
    for plugin in _found(group):
        # One distribution can be found twice: installed, and in a checkout.
        theirs.setdefault((plugin.name, plugin.module, plugin.package), plugin)
    return ours + list(theirs.values())


def _found(group: str) -> Iterator[Plugin]:
    # Half of this package's import time, and needed only for what is not ours.
    from importlib.metadata import distributions  # noqa: PLC0415 - see above

    seen = {OURS}
    try:
        for distribution in distributions():
            try:
                points = distribution.entry_points.select(group=group)
            except Exception as error:  # noqa: BLE001 - a damaged file of its own
                yield _unreadable(_package(distribution), error)
                continue
            package = _package(distribution) if points else ""
            normalized = re.sub(r"[-_.]+", "-", package).lower()
            if not points or normalized in seen:
                continue
            if package != _UNNAMED:
                seen.add(normalized)
            yield from (_plugin(point, package) for point in points)
    except Exception as error:  # noqa: BLE001 - of another package's finder
        yield _unreadable(_UNNAMED, error)


_UNNAMED: Final = "an unnamed package"


def _package(distribution: Distribution) -> str:
    try:
        return distribution.name or _UNNAMED
    except Exception:  # noqa: BLE001 - its metadata is damaged, or not there
        return _UNNAMED


def _plugin(point: EntryPoint, package: str) -> Plugin:
    try:
        extras = f"[{','.join(point.extras)}]" if point.extras else ""
    except AttributeError:
        extras = ""  # Of a value that names no module; to load it will say so.
    package += extras
    return Plugin(point.name, point.value, package, is_ours=False, _load=point.load)


def _unreadable(package: str, error: Exception) -> Plugin:
    def load() -> NoReturn:
        raise error

    return Plugin("?", "entry_points.txt", package, is_ours=False, _load=load)
