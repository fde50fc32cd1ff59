"""`dp_core.sync` is `dp_core` without async: names, signatures, words."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

import pytest

import dp_core
import dp_core.sync

OURS: Final = [
    name
    for name in dp_core.sync.__all__
    if getattr(dp_core.sync, name) is not getattr(dp_core, name)
]
"""What is not the same object in both."""

CLASSES: Final = [name for name in OURS if inspect.isclass(getattr(dp_core, name))]
FUNCTIONS: Final = sorted(set(OURS) - set(CLASSES))

RENAMED: Final = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}
LEFT_OUT: Final = {"__await__"}
OTHERWISE: Final = {"DurablePromise.__init__", "AsSettled.__init__"}
"""What nobody calls: `Promises.promise` and `as_settled` do."""


def members(cls: type) -> dict[str, Any]:
    """Return the methods of a class that it defines itself, and that people use."""
    return {
        name: value
        for name, value in vars(cls).items()
        if inspect.isfunction(value)
        and (not name.startswith("_") or name.startswith("__"))
    }


def pairs() -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Return async functions and methods, each with its blocking form."""
    found: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        name: (getattr(dp_core, name), getattr(dp_core.sync, name))
        for name in FUNCTIONS
    }
    for cls in CLASSES:
        blocking = members(getattr(dp_core.sync, cls))
        for name, value in members(getattr(dp_core, cls)).items():
            other = blocking.get(RENAMED.get(name, name))
            if name not in LEFT_OUT and other is not None:
                found[f"{cls}.{name}"] = value, other
    return found


PAIRS: Final = pairs()


def plain(text: object) -> str:
    """Return words as they are without async."""
    said = str(text).replace("an async ", "a ").replace("AsyncIterator", "Iterator")
    for word in ("async ", "await "):
        said = said.replace(word, "")
    return " ".join(said.split())


def signatures(function: Callable[..., Any]) -> list[str]:
    """Return the signature of a function, and those of its overloads."""
    forms = [function, *typing.get_overloads(function)]
    return [plain(inspect.signature(form)) for form in forms]


def test_the_names_are_the_same() -> None:
    """Whatever `dp_core` exports is there; states, errors and terms are the same."""
    assert dp_core.__all__ == dp_core.sync.__all__
    assert [
        "AsSettled",
        "DurablePromise",
        "Promises",
        "all_settled",
        "as_settled",
        "connect",
        "durable_promise",
        "gather",
        "race",
    ] == OURS


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_same_methods(name: str) -> None:
    """But those that only async code can use."""
    there = {RENAMED.get(n, n) for n in members(getattr(dp_core, name))} - LEFT_OUT
    here = set(members(getattr(dp_core.sync, name)))
    if name == "AsSettled":
        there.discard("__iter__")  # `Iterator` has it
    assert there == here


@pytest.mark.parametrize("name", sorted(set(PAIRS) - OTHERWISE))
def test_a_signature_is_the_same(name: str) -> None:
    """Parameters, defaults, types, and overloads."""
    there, here = PAIRS[name]
    assert signatures(there) == signatures(here)
    assert not inspect.iscoroutinefunction(here)


@pytest.mark.parametrize("name", sorted(set(PAIRS) | set(CLASSES)))
def test_the_words_are_the_same(name: str) -> None:
    """A docstring says the same, without await."""
    there, here = PAIRS.get(name) or (
        getattr(dp_core, name),
        getattr(dp_core.sync, name),
    )
    assert plain(there.__doc__) == plain(here.__doc__)


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_are_the_same(name: str) -> None:
    """What is an attribute of the async class can be read here."""
    promises = {
        module: module.Promises(dp_core.connect("memory:").backend, "memory:")
        for module in (dp_core, dp_core.sync)
    }
    made = {
        "Promises": lambda module: promises[module],
        "DurablePromise": lambda module: promises[module].promise("x"),
        "AsSettled": lambda module: module.as_settled([promises[module].promise("x")]),
    }[name]
    public = {n for n in dir(made(dp_core)) if not n.startswith("_")}
    assert {RENAMED.get(n, n) for n in public} == {
        n for n in dir(made(dp_core.sync)) if not n.startswith("_")
    }
