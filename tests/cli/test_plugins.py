"""Commands that packages add to ``dp``, through real installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

GREET = """
import click, dp_core
from dp_core.cli import Status

@click.command()
@click.argument("whom")
def greet(whom):
    "Greet WHOM."
    if whom == "nobody":
        raise dp_core.BackendUnavailableError("there is nobody")
    click.echo(f"hello {whom}")
    return Status.PENDING

@dp_core.hookimpl
def dp_register_commands(register):
    register(greet)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run dp beside a package with one plugin, laid out as pip would."""

    def run(*arguments: str, source: str = GREET) -> Done:
        (tmp_path / "dp_greet.py").write_text(source)
        info = tmp_path / "dp_greet-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dp-greet\n")
        (info / "entry_points.txt").write_text(
            "[dp_core.commands]\ngreet = dp_greet [loud]\n"
        )
        return subprocess.run(
            [sys.executable, "-m", "dp_core", *arguments],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            text=True,
            timeout=60,
        )

    return run


def test_a_third_partys_command_is_one_of_ours(run: Run) -> None:
    """It is listed, runs, and says by its exit code what stands."""
    assert "greet" in run("--help").stdout

    done = run("greet", "world")

    assert ("hello world\n", 3) == (done.stdout, done.returncode)


def test_its_errors_are_ours(run: Run) -> None:
    """One of our errors is one line on stderr, and exit code 2."""
    done = run("greet", "nobody")

    assert ("dp: there is nobody\n", 2) == (done.stderr, done.returncode)


def test_what_it_lacks_is_named(run: Run) -> None:
    """Where an extra is not installed, the command says how to install it."""
    done = run("greet", "--loudly", "world", source="import no_such_module")

    assert 2 == done.returncode
    assert "No module named 'no_such_module'" in done.stderr
    assert "pip install 'dp-greet[loud]'" in done.stderr


def test_a_broken_one_hurts_no_other(run: Run) -> None:
    """The list of commands and the other commands do without it."""
    listed = run("--help", source="import no_such_module")

    assert 0 == listed.returncode
    assert "peek" in listed.stdout
    assert 0 == run("backends", source="import no_such_module").returncode


def test_an_unknown_command_is_still_an_error(run: Run) -> None:
    """No plugin is taken for a command that nobody brings."""
    done = run("gret")

    assert 2 == done.returncode
    assert "No such command 'gret'" in done.stderr
