"""Plugins that `dp backends` and `dp doctor` try, in processes of their own or here."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dp_core._plugins import _probe, probe, probe_command
from dp_core.hookspecs import COMMANDS, PROJECT
from support.core.faulty_plugins import HOOK
from support.core.program import Run

GOOD = HOOK.format(arguments="register", body="register('good', lambda url: 1)")
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one plugin, as pip would lay it out."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, group: str, name: str, source: str) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")

    return install


def test_a_plugin_that_never_loads_is_not_waited_for(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its time, and the others are told of all the same."""
    install("dp-slow", PROJECT, "slow", "import time; time.sleep(1000)")
    monkeypatch.setattr(_probe, "_PATIENCE", 0.5)

    assert "its plugin takes longer than 0.5 s to load" == probe("slow")


def test_where_no_process_can_be_started_it_is_said(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is loaded here in its place: it might end this process."""
    install("dp-good", PROJECT, "good", GOOD)

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", refuse)
    said = probe("good")

    assert said is not None
    assert said.startswith("no process can be started to try it: Resource")
    assert "dp_good" not in sys.modules


def test_a_frozen_program_tries_plugins_in_its_own_process(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no interpreter that could be started."""
    install("dp-good", PROJECT, "good", GOOD)
    install("dp-lame", COMMANDS, "lame", "raise RuntimeError('boom')")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "run", None)

    assert probe("good") is None
    assert "boom" in (probe_command("lame") or "")
    assert "the schemes known here" in (probe("nobodys") or "")
    for module in ("dp_good", "dp_lame"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("group", [PROJECT, COMMANDS])
def test_what_two_packages_bring_is_used_of_none(install: Install, group: str) -> None:
    """Both are named; whoever wants one of them uninstalls the other."""
    for package in ("dp-one", "dp-two"):
        install(package, group, "same", GOOD)

    said = (probe if group == PROJECT else probe_command)("same")

    assert "dp-one" in (said or "")
    assert "dp-two" in (said or "")


def test_a_command_that_two_packages_bring_is_an_error(
    install: Install, here: Run
) -> None:
    """Nobody guesses which one is meant."""
    for package in ("dp-one", "dp-two"):
        install(package, COMMANDS, "same", GOOD)
    done = here("same")

    assert 2 == done.returncode
    assert b"'same' is brought by dp-one and dp-two" in done.stderr


def test_a_command_that_loads_is_none_of_the_warnings(
    install: Install, here: Run
) -> None:
    """Of a backend, too, it is said that it is there."""
    install("dp-good", PROJECT, "good", GOOD)
    install("dp-fine", COMMANDS, "fine", "")
    (check,) = plugins_of(here)

    assert "ok" == check["status"]
    assert "dp fine, good: of other packages" == check["text"]


def test_what_is_built_in_is_brought_by_nobody_else(
    install: Install, here: Run
) -> None:
    """A package that claims a name of ours is not used, and is told so."""
    install("dp-file", PROJECT, "file", GOOD)
    warning, _ = plugins_of(here)
    lines = here("backends").stdout.decode().splitlines()

    assert "warning" == warning["status"]
    assert "file: cannot be used: dp-file brings it, and it is" in warning["text"]
    (theirs,) = [line for line in lines if " dp-file " in line]
    assert theirs.endswith("not used: file: is built in")


def test_a_damaged_package_is_a_warning(
    tmp_path: Path, install: Install, here: Run
) -> None:
    """Whatever it brings cannot be read."""
    install("dp-good", PROJECT, "good", GOOD)
    damaged = tmp_path / "damaged-1.0.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_bytes(b"\xff")
    warnings = [check for check in plugins_of(here) if check["status"] == "warning"]

    assert warnings
    assert all("UnicodeDecodeError" in check["text"] for check in warnings)


def plugins_of(here: Run) -> list[dict[str, Any]]:
    """Return what `dp doctor` says of plugins."""
    checks = json.loads(here("doctor", "--json").stdout)
    return [check for check in checks if check["name"] in {"plugin", "plugins"}]


@pytest.mark.parametrize("installed", ["0.0.1", None])
def test_another_version_than_is_installed_is_a_warning(
    here: Run, monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    """One that is not installed at all is vendored, which is as well."""

    def version(name: str) -> str:
        if installed is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    checks = json.loads(here("doctor", "--json").stdout)
    (library,) = [check for check in checks if check["name"] == "library"]

    assert ("ok" if installed is None else "warning") == library["status"]
    assert installed is None or f"{installed} is installed" in library["text"]
