"""Examples 1 to 3, run as a learner runs them, with Restate as the store."""

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

from support.paths import EXAMPLES
from support.restate import RestateServer

HERE = Path(__file__).parent


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
    command = [node, HERE / "programs" / "client.mjs", restate.url, token_hex(8)]
    output = subprocess.check_output(command, text=True, timeout=60)

    json_, won = "application/json", {"value": {"greeting": "\u2603"}}
    assert [
        ["peek", 200, json_, None],
        ["resolve", 200, json_, won],
        ["await", 200, json_, won],
        ["reject", 200, json_, won],
        ["peek", 200, json_, won],
    ] == [json.loads(line) for line in output.splitlines()]
