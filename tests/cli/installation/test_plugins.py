"""Commands that packages add to ``dp``, through real installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dp_core._plugins import installed_plugins
from dp_core.hookspecs import PROJECT
from support.core.faulty_plugins import FAULTS, HOOK

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
    assert 1 == done.stderr.count("\n")
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


NO_STATES = """
import dp_core

class Backend(dp_core.backend.Backend):
    def __init__(self, url): pass
    async def peek(self, id): return {0}
    async def settle(self, id, outcome): return {0}
    async def wait(self, id): return {0}
    async def dispose(self, id): pass
    async def aclose(self): pass

@dp_core.hookimpl
def dp_register_backends(register):
    register("odd", Backend)
"""


@pytest.mark.parametrize(
    ("returned", "commands"),
    [
        ("None", ("peek", "get", "resolve", "watch")),
        ("dp_core.Resolved(5)", ("peek", "watch")),
        ("dp_core.Pending()", ("resolve", "watch")),
    ],
)
def test_what_no_backend_returns_is_no_state(
    tmp_path: Path, returned: str, commands: tuple[str, ...]
) -> None:
    """It is the backend's fault, in one line, and nothing is made of it."""
    (tmp_path / "dp_odd.py").write_text(NO_STATES.format(returned))
    info = tmp_path / "dp_odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dp-odd\n")
    (info / "entry_points.txt").write_text("[dp_core]\nodd = dp_odd\n")
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "dp_core", command, "x", "--url", "odd:"],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            text=True,
            timeout=60,
        )
        assert (2, "") == (done.returncode, done.stdout)
        assert "dp: the store's backend is at fault: it returned " in done.stderr
        assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("raise SystemExit", "SystemExit"),
        ("raise RuntimeError('a\\nb')", "RuntimeError: a b"),
        (GREET.replace("(register)", "(registre)"), "registre"),
        (GREET.replace("register(greet)", "1 / 0"), "ZeroDivisionError"),
        (GREET.replace("register(greet)", "register(None)"), "does not register"),
        (GREET.replace("register(greet)", "pass"), "does not register"),
        (GREET.replace("return Status.PENDING", "return"), "returned None"),
        (GREET.replace("return Status.PENDING", "return 'x'"), "returned x"),
        (GREET.replace("return Status.PENDING", "return 7"), "returned 7"),
        (GREET.replace("return Status.PENDING", "raise SystemExit(1)"), "exit(1)"),
        (GREET.replace("return Status.PENDING", "exit(0)"), "exit(0)"),
        (GREET.replace("return Status.PENDING", "1 / 0"), "ZeroDivisionError"),
    ],
)
def test_a_faulty_one_is_named_in_one_line(run: Run, source: str, word: str) -> None:
    """Whatever a package's command does, the exit code says that nothing is known."""
    done = run("greet", "world", source=source)

    assert 2 == done.returncode
    assert done.stderr.startswith("dp: ")
    assert word in done.stderr
    assert 1 == done.stderr.count("\n")


ENDS = "ends the process that loads it"
FAULTY = {
    **{name: FAULTS[name] for name in ("import", "exit", "signature", "raises")},
    "os-exit": ("import os; os._exit(1)", f"{ENDS} (status 1)"),
    "zero": ("import os; os._exit(0)", f"{ENDS} (status 0)"),
    "crash": ("import os; os.abort()", f"{ENDS} (status -6)"),
    "none": (
        HOOK.format(arguments="register", body="register('none', None)"),
        "registers NoneType",
    ),
    "good": (
        'print("a word at import")'
        + HOOK.format(arguments="register", body="register('good', lambda url: 1)"),
        "ok",
    ),
}


def test_backends_tells_of_all_whatever_they_do(tmp_path: Path) -> None:
    """One line each, with what is wrong; those that work are there beside them."""
    for name, (source, _) in FAULTY.items():
        (tmp_path / f"dp_{name.replace('-', '_')}.py").write_text(source)
        info = tmp_path / f"dp_{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dp-{name}\n")
        module = f"dp_{name.replace('-', '_')}"
        (info / "entry_points.txt").write_text(f"[dp_core]\n{name} = {module}\n")
    damaged = tmp_path / "damaged-1.0.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_bytes(b"\xff")
    done = subprocess.run(
        [sys.executable, "-m", "dp_core", "backends"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
        timeout=120,
    )

    assert (0, "") == (done.returncode, done.stderr)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    ours = {plugin.name for plugin in installed_plugins(PROJECT) if plugin.is_ours}
    assert {"file", "memory", "sqlite"} < ours
    assert {*FAULTY, *ours, "?"} == set(lines)
    for name, (_, word) in FAULTY.items():
        assert f" dp-{name} " in lines[name]
        assert word in lines[name]
    assert all(lines[name].endswith(" ok") for name in ("file", "http", "memory"))
    assert "UnicodeDecodeError" in lines["?"]
