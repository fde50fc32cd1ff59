"""
Try an installation as its user would, with what is installed and nothing else.

    python -I trial.py ROOT EXTRAS

ROOT has the README whose ten lines are run; EXTRAS are those that are installed, with
commas. It says what was tried, and ends with an error at the first thing that does
not work.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
# A type of pydantic alone.
PATHS = "import dp_core, pathlib; dp_core.durable_promise('id', type=pathlib.Path)"
LAW = """
import anyio, dp_core as dp
from dp_core.testing import LAWS, BackendSuite, check_backend

async def main():
    laws = [LAWS["dispose-forgets"]]
    report = await check_backend(
        lambda: dp.connect("memory:one").backend, durable=False, shared=True, laws=laws
    )
    assert report.passed, report

anyio.run(main)
"""
NEEDED_BY = {
    "mcp": "mcp.server.mcpserver",
    "notebook": "dp_core.notebook",
    "otel": "dp_core.otel",
    "pydantic": "pydantic",
    "postgresql": "dp_backends.sql.postgresql",
    "restate": "dp_backends.restate",
    "server": "dp_core.server",
    "sqlite": "dp_backends.sql.sqlite",
    "testing": "dp_core.testing.suite",
}
"""The module of each extra."""
ASKED_BY = {
    "mcp": ["dp", "mcp"],
    "notebook": [sys.executable, "-I", "-c", "import dp_core.notebook"],
    "otel": [sys.executable, "-I", "-c", "import dp_core.otel"],
    "pydantic": [sys.executable, "-I", "-c", PATHS],
    "postgresql": ["dp", "peek", "--url", "postgresql://h/d", "id"],
    "restate": ["dp", "restate"],
    "server": ["dp", "serve"],
    "sqlite": ["dp", "peek", "--url", "sqlite:./p.db", "id"],
    "testing": [sys.executable, "-I", "-c", LAW],
}
"""What somebody without the extra may ask for."""


def main(root: Path, extras: set[str]) -> None:
    """Try it."""
    home = Path(distribution("durable-promises").locate_file("."))
    assert PROGRAMS.parent in home.parents, f"another installation is tried: {home}"
    version = distribution("durable-promises").version
    print(f"Python {sys.version.split()[0]}, durable-promises {version}")
    ten_lines((root / "README.md").read_text(encoding="utf-8"))
    assert f"dp {version}\n" == run("dp", "--version").stdout
    shell()
    types(home)
    for extra in sorted(NEEDED_BY):
        with_extra(extra) if extra in extras else without(extra)
    if "server" in extras:
        serve()


def ten_lines(readme: str) -> None:
    """Run the README's ten lines twice, and compare what they print."""
    section = readme.split("## Ten lines\n")[1]
    program, printed = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)[:2]
    Path("ten.py").write_text(program, encoding="utf-8")
    assert printed == run(sys.executable, "-I", "ten.py").stdout
    again = run(sys.executable, "-I", "ten.py").stdout.splitlines()
    assert [printed.splitlines()[1], *printed.splitlines()[1:]] == again
    print("the ten lines of the README")


def shell() -> None:
    """Settle and read by ``dp``."""
    assert 3 == run("dp", "peek", "a").returncode
    assert "5\n" == run("dp", "resolve", "a", "5").stdout
    assert '{"value":5}\n' == run("dp", "peek", "a", "--json").stdout
    assert "5\n" == run("dp", "get", "a").stdout
    backends = json.loads(run("dp", "backends", "--json").stdout)
    ours = {each["scheme"] for each in backends if "durable" in each["package"]}
    assert {"file", "http", "https", "memory", "postgresql", "sqlite"} <= ours
    print("dp: version, peek, resolve, get, backends")


def types(home: Path) -> None:
    """Find the marks by which type checkers believe the annotations."""
    for package in ("dp_core", "dp_backends"):
        assert (home / package / "py.typed").is_file()
    print("py.typed")


def with_extra(extra: str) -> None:
    """Ask for what an extra brings, or import it."""
    if sys.executable in ASKED_BY[extra]:
        asked = run(*ASKED_BY[extra])
        assert 0 == asked.returncode, asked.stderr
    else:
        import_module(NEEDED_BY[extra])
    print(f"with [{extra}]: {NEEDED_BY[extra]}")


def without(extra: str) -> None:
    """Ask for what an extra brings, and be told which."""
    asked = run(*ASKED_BY[extra])
    assert asked.returncode
    assert f"pip install 'durable-promises[{extra}]'" in asked.stderr, asked.stderr
    print(f"without [{extra}]: it is named")


def serve() -> None:
    """Serve the store, and settle through the server."""
    with subprocess.Popen(
        [PROGRAMS / "dp", "serve", "--port", "0"],
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            [url] = re.findall(r"http://\S+:\d+", server.stdout.readline())
            assert "5\n" == run("dp", "get", "--url", url, "a").stdout
            assert "6\n" == run("dp", "resolve", "--url", url, "b", "6").stdout
        finally:
            server.terminate()
    assert "6\n" == run("dp", "get", "b").stdout
    print("dp serve")


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this installation."""
    return subprocess.run(
        [PROGRAMS / program if program == "dp" else program, *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        main(Path(sys.argv[1]), {*sys.argv[2].split(",")} - {""})
