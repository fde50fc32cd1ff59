"""The code of docs/how-to/observe-operations.md runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.docs.documents import blocks

PAGE: Final = "docs/how-to/observe-operations.md"
LOG, METRIC, SPAN = range(3)

OPENTELEMETRY: Final = """
class Span:
    def __init__(self, name, attributes):
        self.name, self.attributes, self.errors = name, attributes, []

    def set_attribute(self, name, value):
        self.attributes[name] = value

    def record_exception(self, error):
        self.errors.append(type(error).__name__)

    def end(self):
        print(self.name, self.attributes, self.errors)


class Tracer:
    def start_span(self, name, attributes):
        return Span(name, attributes)


def get_tracer(name):
    return Tracer()
"""
"""The part of opentelemetry-api that the page uses."""

USE: Final = """
import asyncio
import dp_core as dp

async def main():
    promise = dp.durable_promise("id", "memory:")
    await promise.reject("no")
    try:
        await promise
    except dp.PromiseRejectedError:
        pass

asyncio.run(main())
"""


def run(code: str, directory: Path) -> str:
    """Run a program; return its output, in which every time is 0.0."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return re.sub(r"\d+\.\d ms", "0.0 ms", done.stdout)


@pytest.mark.parametrize("example", [LOG, METRIC])
def test_an_example_prints_what_is_below_it(example: int, tmp_path: Path) -> None:
    """Log lines and counters are those of the page, but for the time."""
    code = [block.text for block in blocks(PAGE) if block.language == "python"]
    output = [block.text for block in blocks(PAGE) if block.language == "text"]

    assert output[example] == run(code[example], tmp_path)


def test_spans(tmp_path: Path) -> None:
    """Each operation is a span with its result, and its error if there is one."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    (tmp_path / "opentelemetry" / "trace.py").write_text(OPENTELEMETRY, "utf-8")
    code = [block.text for block in blocks(PAGE) if block.language == "python"]

    attributes = {"promise.id": "id", "promise.result": "rejected"}
    assert [
        f"promise reject {attributes} []",
        f"promise get {attributes} ['PromiseRejectedError']",
    ] == run(code[SPAN] + USE, tmp_path).splitlines()
