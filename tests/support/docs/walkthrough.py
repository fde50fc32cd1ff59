"""
`Reader`: follows a how-to page as a reader does, and notes what is printed.

On a page, a block of code is one of these:

* a *file*, when its first line is a comment with nothing but a file name, or when it
  includes a file of the repository (``{literalinclude}``), by the name of that;
* *commands*, in a ``console`` block: each line after ``$`` is entered, and what
  it printed stands below it.

A comment before a block of commands says how they run:

* ``<!-- waits -->``: in another terminal; they end when somebody settles a
  promise, and what they printed is looked at when the page is over;
* ``<!-- runs on -->``: a server or a worker, which is stopped when the page is
  over. If it names a port, it gets a free one, and so does everything that
  refers to it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from support.paths import ROOT

__all__ = ["Printed", "Reader", "Step", "port_of", "steps"]

_STEP: Final = re.compile(
    r"(?:^<!-- (?P<mode>waits|runs on) -->\n)?"
    r"^```(?:(?P<language>\w+)|\{literalinclude\} (?P<included>\S+))\n"
    r"(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_FILE: Final = re.compile(r"(?:#|//) (?P<name>[\w.]+)\n")
_COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_PORT: Final = re.compile(r"(?P<before>--port |PORT=|--bind [\w.]+:)(?P<port>\d+)")
_LISTENING: Final = re.compile(r"http://[^\s:]+:(\d+)")
_SECONDS: Final = re.compile(r"in \d+\.\d+s")
_LOCAL: Final = ("localhost", "127.0.0.1")


class Step(NamedTuple):
    """
    A block of code on a page.

    Attributes:
        mode: "waits", "runs on", or "" for what ends by itself.
        language: Its language, as the page says.
        text: The code.
        included: The file of the repository that this is.
    """

    mode: str
    language: str
    text: str
    included: Path | None = None

    @property
    def file(self) -> str | None:
        """Return the name of the file that this is, if it is one."""
        if self.included:
            return self.included.name
        found = _FILE.match(self.text)
        return found["name"] if found else None


class Printed(NamedTuple):
    """A command, what the page says it prints, and what it did print."""

    line: str
    expected: str
    actual: str


def steps(page: Path) -> list[Step]:
    """Return the blocks of code on a page."""
    text = page.read_text(encoding="utf-8")
    return [_step(page, found) for found in _STEP.finditer(text)]


def _step(page: Path, found: re.Match[str]) -> Step:
    if not found["included"]:
        return Step(found["mode"] or "", found["language"], found["text"])
    path = (page.parent / found["included"]).resolve()
    return Step("", "python", path.read_text(encoding="utf-8"), path)


class Reader:
    """
    Somebody who enters everything that a page shows, in a directory of their own.

    Args:
        directory: The directory, which is empty.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, str] = {}
        self._ports: dict[str, str] = {}
        self._stack = ExitStack()
        places = [Path(sys.executable).parent, ROOT / ".venv" / "node_modules" / ".bin"]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DP_", "PYTEST")) or name == "PYTEST_ADDOPTS"
        }
        path = os.pathsep.join([*map(str, places), kept["PATH"]])
        # Some programs keep things at home; pytest would remove those of other runs.
        here = {
            "HOME": str(directory),
            "PATH": path,
            "PYTEST_DEBUG_TEMPROOT": self._stack.enter_context(TemporaryDirectory()),
            "PYTHONUNBUFFERED": "1",
        }
        self._environment = {**kept, **here}

    def follow(self, found: list[Step]) -> Iterator[Printed]:
        """Do every step; yield what each command printed."""
        waiting: list[tuple[str, str, subprocess.Popen[str]]] = []
        with self._stack:
            for step in found:
                if step.file is not None:
                    self._files[step.file] = step.text
                    self._write_files()
                    continue
                for line, expected in _COMMAND.findall(step.text):
                    if step.mode == "runs on":
                        self._serve(line)
                    elif step.mode == "waits":
                        waiting.append((line, expected, self._start(line)))
                    else:
                        yield self._printed(line, expected, self._start(line))
            for line, expected, process in waiting:
                yield self._printed(line, expected, process)

    def _start(self, line: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["bash", "-c", self._translated(line)],
            cwd=self._directory,
            env=self._environment,
            start_new_session=True,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.enter_context(process)
        self._stack.callback(_end, process)
        return process

    def _printed(
        self, line: str, expected: str, process: subprocess.Popen[str]
    ) -> Printed:
        output, _ = process.communicate(timeout=120)
        for documented, real in self._ports.items():
            output = output.replace(f":{real}", f":{documented}")
        return Printed(line, _comparable(expected), _comparable(output))

    def _serve(self, line: str) -> None:
        """Start a server or a worker; a server is listening when this returns."""
        port = _PORT.search(line)
        documented = port["port"] if port else "8080" if "serve" in line else None
        if port:
            line = line.replace(port[0], f"{port['before']}0")
        elif documented:
            line += " --port 0"
        process = self._start(line)
        if documented:
            self._ports[documented] = port_of(process)
            self._write_files()

    def _translated(self, text: str) -> str:
        for documented, real in self._ports.items():
            for name in _LOCAL:
                text = text.replace(f"{name}:{documented}", f"{name}:{real}")
        return text

    def _write_files(self) -> None:
        for name, text in self._files.items():
            (self._directory / name).write_text(
                self._translated(text), encoding="utf-8"
            )


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def port_of(server: subprocess.Popen[str]) -> str:
    """Return the port that a server says it listens at."""
    assert server.stdout is not None
    said = []
    for line in server.stdout:
        said.append(line)
        if found := _LISTENING.search(line):
            return found[1]
    raise AssertionError("".join(said))


def _comparable(output: str) -> str:
    # A shell has its prompt right behind an output that has no last line end.
    return _SECONDS.sub("in a moment", output.rstrip("\n"))
