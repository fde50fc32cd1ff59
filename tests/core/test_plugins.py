"""Plugins: from a store URL to a backend, through real installed packages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dp_core
from dp_core import (
    Backend,
    DuplicateBackendError,
    UnknownBackendError,
    _plugins,
    connect,
    installed_schemes,
)

Install = Callable[..., None]

PLUGIN = """
import dp_core
from dp_backends.memory import MemoryBackend

@dp_core.hookimpl
def dp_register_backends(register):
    register("{scheme}", MemoryBackend)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one plugin, as pip would lay it out."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, scheme: str, source: str) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
        (info / "entry_points.txt").write_text(f"[dp_core]\n{scheme} = {module}\n")

    return install


def test_the_first_party_backends_come_in_by_the_common_door() -> None:
    """Each of our schemes is an entry point of our distribution."""
    ours = {"file", "http", "https", "memory"}

    assert ours <= {
        scheme
        for scheme, package in installed_schemes().items()
        if package == "durable-promises"
    }


async def test_a_third_partys_backend_is_found_by_its_scheme(install: Install) -> None:
    """Installing a package is all it takes; schemes are case-insensitive."""
    install("dp-third", "third", PLUGIN.format(scheme="third"))

    async with connect("THIRD:x") as promises:
        assert dp_core.Resolved(1) == await promises.promise("a").resolve(1)


def test_only_the_plugin_that_is_needed_is_imported(install: Install) -> None:
    """A plugin that cannot even be imported hurts nobody else."""
    install("dp-exploding", "exploding", "raise RuntimeError('boom')")

    assert isinstance(connect("memory:").backend, Backend)
    assert "dp_exploding" not in sys.modules
    with pytest.raises(UnknownBackendError, match="RuntimeError: boom"):
        connect("exploding:")


def test_what_was_found_is_not_looked_for_again(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To connect is cheap, the second time; what is installed later is found."""
    install("dp-one", "one", PLUGIN.format(scheme="one"))
    connect("one:")
    with monkeypatch.context() as patched:
        patched.setattr(_plugins, "plugin_points", None)
        connect("one:there")
        patched.setattr(sys, "path", [*sys.path, "elsewhere"])
        with pytest.raises(TypeError):
            connect("one:")
    install("dp-two", "two", PLUGIN.format(scheme="two"))
    connect("two:")


def test_two_plugins_for_one_scheme_are_an_error(install: Install) -> None:
    """Nobody guesses which one is meant; the error names both packages."""
    install("dp-one", "same", PLUGIN.format(scheme="same"))
    install("dp-two", "same", PLUGIN.format(scheme="same"))

    with pytest.raises(DuplicateBackendError) as caught:
        connect("same:")

    assert "same" == caught.value.scheme
    assert "dp-one" in str(caught.value)
    assert "dp-two" in str(caught.value)


def test_one_plugin_that_registers_a_scheme_twice_is_an_error(install: Install) -> None:
    """The second registration does not silently replace the first."""
    twice = PLUGIN + '    register("{scheme}", MemoryBackend)\n'
    install("dp-twice", "twice", twice.format(scheme="twice"))

    with pytest.raises(DuplicateBackendError, match="twice"):
        connect("twice:")


def test_a_plugin_that_does_not_register_its_scheme_is_named(install: Install) -> None:
    """The error points at the package that is wrong."""
    install("dp-liar", "liar", PLUGIN.format(scheme="other"))

    with pytest.raises(UnknownBackendError, match="dp-liar has a plugin for 'liar'"):
        connect("liar:")


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("mem:x", "memory: (durable-promises)"),
        ("redis://x", "file: (durable-promises)"),
        ("./promises", "for a directory write 'file:./promises'"),
        ("/var/promises", "for a directory write 'file:/var/promises'"),
    ],
)
def test_an_unknown_url_lists_what_is_known(url: str, advice: str) -> None:
    """The error names the URL, the schemes there are, and their packages."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(url)

    assert advice in str(caught.value)
    assert url in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_known_scheme_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody has to search for the package."""
    monkeypatch.setattr("dp_core._plugins._entry_points", lambda scheme=None: [])

    with pytest.raises(
        UnknownBackendError, match="none; install the package that brings memory:"
    ):
        connect("memory:")
