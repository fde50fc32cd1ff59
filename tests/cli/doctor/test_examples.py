"""The examples at the end of each command's help: all of them are run."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from dp_backends.restate._commands import commands as restate
from dp_core.cli._main import program
from support.server_process import running

# Beside the promises of the default store.
FILES: Final = {
    "ids.txt": "greeting\n",
    "errors.log": "out of memory\n",
    "token": "a-secret-of-the-server",
    "secrets": "a-secret-that-signs-tokens-of-the-server",
}
KNOWN: Final = {0, 1, 3}
"""Exit codes that say a state."""

OTHER_SHELLS: Final = {"zsh": "zsh", "| source": "fish"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its name: the program's own, and those of Restate."""
    yield "dp", program
    for name, command in program.commands.items():
        yield f"dp {name}", command
    for name, command in restate.commands.items():
        yield f"dp restate {name}", command


def examples_of(name: str, command: click.Command) -> list[str]:
    """Return the examples that the help of a command shows."""
    with click.Context(command, info_name=name) as context:
        text = command.get_help(context)
    _, found, shown = text.partition("\n  Examples:\n\n")
    assert found, text
    return [line.strip() for line in shown.splitlines()]


ALL: Final = {name: examples_of(name, command) for name, command in commands()}


def test_each_command_has_examples_that_fit() -> None:
    """Of itself, on lines that no terminal of 80 columns breaks."""
    for name, lines in ALL.items():
        assert [] == [line for line in lines if len(line) > 76]
        assert re.search(rf"\b{name}\b", "\n".join(lines))


@pytest.fixture
def place(tmp_path: Path, env: dict[str, str], fill: Callable[..., None]) -> Path:
    """Return a directory with a default store, for a shell whose ``dp`` is ours."""
    fill(["greeting", "order-17"], {"order-18": "no"})
    del env["DP_URL"]
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


# Servers are left to the other tests; the laws take as long as all of these.
RUN: Final = [
    name
    for name in ALL
    if name not in ("dp serve", "dp conformance") and not name.startswith("dp restate")
]


@pytest.mark.parametrize("name", RUN)
def test_examples_do_what_they_say(name: str, place: Path, env: dict[str, str]) -> None:
    """They are known to the shell and to dp, and none is a wrong command line."""
    for line in ALL[name]:
        shell = next((it for sign, it in OTHER_SHELLS.items() if sign in line), "bash")
        if shutil.which(shell) is None:
            continue
        done = subprocess.run(
            [shell, "-c", f"set -o pipefail; {line}" if shell == "bash" else line],
            cwd=place,
            env=env,
            input=b"",
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in KNOWN, (line, done.stderr)
        assert b"dp: " not in done.stderr or name in PASSING, (line, done.stderr)
        assert b"not found" not in done.stderr


PASSING: Final = {
    "dp",  # one waits for what the other line has settled
    "dp peek",  # another store, which is empty
    "dp resolve",  # settled before
    "dp reject",
}
"""Commands whose examples are told something beside their result."""


def test_examples_of_serve_serve(place: Path, env: dict[str, str]) -> None:
    """Until SIGTERM, each in a network of its own, in which all ports are free."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    for line in ALL["dp serve"]:
        with subprocess.Popen(
            [*alone, "sh", "-c", f"ip link set lo up 2>/dev/null; exec {line}"],
            cwd=place,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        assert said.startswith("Listening on http://"), errors
        assert (0, "") == (process.returncode, errors)


def test_examples_of_conformance_name_stores(place: Path, env: dict[str, str]) -> None:
    """A local one, and a server; the laws themselves have tests of their own."""
    local, remote = ALL["dp conformance"]
    with running("memory:") as server:
        remote = remote.replace("localhost:8080", f"127.0.0.1:{server.port}")
        for line in (local, remote):
            # Of an unknown law it is told after all else was found right.
            command = f"{line} --skip nothing-like-it"
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=place,
                env=env,
                capture_output=True,
                check=False,
            )
            assert b"nothing-like-it" in done.stderr
            assert b"No such option" not in done.stderr


def test_examples_of_restate_are_command_lines() -> None:
    """They are parsed as they are; what they do is tested with Restate itself."""
    for name, lines in ALL.items():
        if not name.startswith("dp restate "):
            continue
        command = restate.commands[name.split()[-1]]
        for line in lines:
            words = line.partition(" | ")[0].split()[3:]
            assert command.make_context(name, words).params
