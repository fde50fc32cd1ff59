"""What is public: names, how they show, and errors that travel."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import dp_backends
import dp_core
import dp_core.notebook
from dp_core import DurablePromiseError


def modules_below(package: ModuleType) -> list[str]:
    """Return the names of *package* and all public modules in it."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    names = [package.__name__, *(module.name for module in found)]
    return [name for name in names if "._" not in name]


PUBLIC = modules_below(dp_core) + modules_below(dp_backends)


def shelf(name: str) -> tuple[int, str]:
    """Return the sort key of a name: constants, then classes, then the rest."""
    if name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


def defined_in(module: ModuleType) -> set[str]:
    """Return the public classes and functions that are defined in *module*."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def test_public_modules_are_found() -> None:
    """The tests below look at the real thing."""
    assert {"dp_core", "dp_core.wire", "dp_backends.memory"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_complete_and_sorted(name: str) -> None:
    """``__all__`` has every public name, in order, and no other."""
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])

    assert sorted(public, key=shelf) == public
    assert [] == [n for n in public if not hasattr(module, n)]
    hooks = {n for n in defined_in(module) if n.startswith(("dp_", "pytest_"))}
    assert defined_in(module) - hooks <= set(public)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_classes_show_public_modules(name: str) -> None:
    """A repr or traceback says the name by which users import a class."""
    module = importlib.import_module(name)

    for exported in getattr(module, "__all__", []):
        value = getattr(module, exported)
        if inspect.isclass(value):
            assert "._" not in value.__module__, value


# Arguments that make one error of each kind.
ERRORS: dict[type[DurablePromiseError], tuple[Any, ...]] = {
    DurablePromiseError: ("broken",),
    dp_core.AccessDeniedError: ("who are you?",),
    dp_core.AsyncMismatchError: ("with", "async with"),
    dp_core.BackendClosedError: ("closed",),
    dp_core.EventLoopRunningError: ("await promise.get()",),
    dp_core.BackendError: ("broken",),
    dp_core.BackendUnavailableError: ("nobody there",),
    dp_core.CodecError: ("broken",),
    dp_core.CorruptPromiseError: ("damaged",),
    dp_core.DuplicateBackendError: ("s3", ("one", "two")),
    dp_core.InvalidLinkError: ("it is over",),
    dp_core.InvalidPromiseIdError: ("", "it is empty"),
    dp_core.InvalidQueryError: ("no state",),
    dp_core.InvalidTermsError: ("no time zone",),
    dp_core.InvalidTimeoutError: ("'5'",),
    dp_core.InvalidTypeError: ("'Invoice'", "it is text"),
    dp_core.InvalidValueError: ("$.a", "no JSON type"),
    dp_core.NotSupportedError: ("no terms here",),
    dp_core.OutcomeUnknownError: ("interrupted",),
    dp_core.PromiseDisposedError: ("id",),
    dp_core.PromiseExistsError: ("id",),
    dp_core.PromiseRejectedError: ("Oh dear", "id"),
    dp_core.PromiseTimeoutError: ("id", 1.5),
    dp_core.ProtocolError: (404, "no operation"),
    dp_core.UnknownBackendError: ("s3:", "the schemes known here are none"),
    dp_core.ValueMismatchError: ("Invoice", "no total", "id"),
    dp_core.notebook.FleetError: ("run %autoawait asyncio before",),
    dp_core.notebook.ProcessBusyError: ("alice", "waits for 'id'"),
    dp_core.notebook.ProcessDiedError: ("alice", 4711),
    dp_core.notebook.ProcessFailedError: ("alice", "NameError: x", ("line 1",)),
    dp_core.notebook.ProcessNameError: ("²", "write letters"),
    dp_core.notebook.ProcessStartError: ("alice", "no ipykernel"),
    dp_core.notebook.UnknownProcessError: ("carol", ("alice", "bob")),
    dp_core.notebook.VariableError: ("seed", "it is not JSON"),
}


def tree(kind: type[DurablePromiseError]) -> set[type[DurablePromiseError]]:
    """Return *kind* and everything below it."""
    return {kind}.union(*(tree(below) for below in kind.__subclasses__()))


def test_whatever_a_store_does_wrong_is_a_backend_error() -> None:
    """``except BackendError`` misses none of the errors of a store or its server."""
    expected = {
        dp_core.AccessDeniedError,
        dp_core.BackendClosedError,
        dp_core.BackendError,
        dp_core.BackendUnavailableError,
        dp_core.CorruptPromiseError,
        dp_core.NotSupportedError,
        dp_core.OutcomeUnknownError,
        dp_core.ProtocolError,
    }

    assert expected == tree(dp_core.BackendError)


def test_every_error_is_in_the_table() -> None:
    """The next test leaves no error out."""
    assert tree(DurablePromiseError) == set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_errors_survive_pickling(kind: type[DurablePromiseError]) -> None:
    """Another process gets the same error: fields, arguments and text."""
    error = kind(*ERRORS[kind])
    travelled = pickle.loads(pickle.dumps(error))

    assert type(error) is type(travelled)
    assert vars(error) == vars(travelled)
    assert error.args == travelled.args
    assert str(error) == str(travelled)
    assert str(error)
    assert error.args == ERRORS[kind]


def test_the_name_of_before_still_works() -> None:
    """Old code gets the function, and is told its name of today."""
    with pytest.warns(DeprecationWarning, match="settle_command"):
        old = dp_core.completion  # type: ignore[attr-defined] # type checkers know today's
    assert dp_core.settle_command is old


def test_public_packages_are_there_without_an_import_of_their_own() -> None:
    """Of what is loaded with the first use, `import dp_core` is all that is needed."""
    program = (
        "import dp_core; "
        "print(dp_core.values.MAX_DEPTH, dp_core.backend.Check.__name__, "
        "dp_core.hookspecs.PROJECT)"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert "128 Check dp_core" == said.strip()
