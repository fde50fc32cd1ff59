"""Examples 1 to 3 and the page on Restate, run as a reader runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from support.paths import EXAMPLES, ROOT
from support.restate import RestateServer, running

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "how-to" / "move-to-restate.md"


def run(name: str, *arguments: object) -> list[str]:
    """Run an example to its end, and return the lines that it printed."""
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    return subprocess.check_output(command, text=True, timeout=120).splitlines()


def test_example_1(restate: RestateServer) -> None:
    """The example prints one outcome; a second run finds it from the start."""
    id, value = token_hex(8), "This promise will notify everyone"
    last = [
        f"Result value: {value}",
        f"Actual result after completing: {value}",
        f"Actual result after rejection: {value}",
    ]

    assert ["Peeked value: null", *last] == run("example1.py", id, restate.url)
    assert [f"Peeked value: {value}", *last] == run("example1.py", id, restate.url)


def test_example_2(restate: RestateServer) -> None:
    """Of two processes, one resolves the promise and the other gets its value."""
    id = token_hex(8)
    # By this seed it resolves the promise, by the other it awaits it.
    first = run("example2.py", id, restate.url, "--seed", 1)
    second = run("example2.py", id, restate.url, "--seed", 0)

    assert first[0].endswith("will RESOLVE the promise")
    assert second[0].endswith("will AWAIT the promise")
    (value,) = re.findall(r"actually resolved to '(.*)'", first[-1])
    assert second[-1].endswith(f"Got result for '{id}' = '{value}'")


def test_example_3(restate: RestateServer) -> None:
    """Ten concurrent processes all see one outcome."""
    lines = run("example3.py", token_hex(8), restate.url, 10, "--seed", 3)

    outcome = r"(?:actually resolved to|Got result for '.*' =) '(.*)'$"
    seen = [found for line in lines for found in re.findall(outcome, line)]
    assert "Done." == lines[-1]
    assert 10 == len(seen)
    assert 1 == len(set(seen))


def test_javascript(restate: RestateServer) -> None:
    """Answers to `fetch` are the reference's: status, content type and body."""
    if (node := shutil.which("node")) is None:
        missing = "node is not installed"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    command = [
        node,
        HERE / "handlers" / "programs" / "client.mjs",
        restate.url,
        token_hex(8),
    ]
    output = subprocess.check_output(command, text=True, timeout=60)

    json_, won = "application/json", {"value": {"greeting": "\u2603"}}
    assert [
        ["peek", 200, json_, None],
        ["resolve", 200, json_, won],
        ["await", 200, json_, won],
        ["reject", 200, json_, won],
        ["peek", 200, json_, won],
    ] == [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a reader, with ``dp`` in PATH."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("DP_")}
    return {**mine, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_commands_run(program: None, tmp_path: Path, shell: dict[str, str]) -> None:
    """The commands print what the page says, one after the other."""
    blocks = re.findall(
        r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    expected = "".join(blocks)
    with running(RestateServer(tmp_path / "restate")) as restate:

        def output(line: str) -> str:
            line = line.replace("http://localhost:8080", restate.url)
            line = line.replace(
                "restate ids", f"restate ids --admin {restate.admin_url}"
            )
            done = subprocess.check_output(
                ["bash", "-c", f"exec 2>&1; {line}"],
                cwd=tmp_path,
                env=shell,
                text=True,
                timeout=60,
            )
            return done.replace(restate.url, "http://localhost:8080")

        lines = re.findall(r"^\$ (.*)$", expected, re.MULTILINE)
        printed = "".join(f"$ {line}\n{output(line)}" for line in lines)

    assert 3 < len(lines)
    assert expected == printed
