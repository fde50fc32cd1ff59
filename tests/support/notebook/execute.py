"""
Run notebooks as a reader would, and store what came of it.

One of them needs a PostgreSQL server, and gets one of its own.

    PYTHONPATH=tests python -m support.notebook.execute [NAME ...]

runs the notebooks (all, if none is named; ``in_practice/09_deadlines`` is one) from
their ``.py`` and writes the ``.ipynb``, with the outputs of that run.
``make notebooks`` calls it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from support.notebook.kernels import Manager
from support.paths import NOTEBOOKS
from support.postgresql.server import running

# To import nbformat takes seconds, in every run that only collects these tests.
if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = [
    "FOREIGN",
    "NAMES",
    "SOURCE",
    "execute",
    "output_text",
    "read",
    "surroundings",
    "write",
]

SOURCE: Final = NOTEBOOKS / "source"
"""The notebooks as they are reviewed; readers need not see them."""

NAMES: Final = [
    path.relative_to(SOURCE).with_suffix("").as_posix()
    for path in sorted(SOURCE.rglob("*.py"), key=lambda path: path.name)
]
"""Each page by its path in the folder, in the order in which they teach."""

_PATIENCE: Final = 60
"""Seconds in which a temporary directory of a kernel that is gone must be gone."""

FOREIGN: Final = re.compile(
    r"/(?:home|root|tmp|Users|work|var|opt)/|site-packages|Warning|Assertion failed"
)
"""What a stored output must not have: paths of a machine, and what libraries say."""


@contextmanager
def surroundings(name: str) -> Iterator[dict[str, str]]:
    """Return the environment of a notebook, with the server that it needs."""
    if name != "in_practice/11_a_thousand_settlers":
        yield {"DP_URL": ""}
        return
    with running() as server:
        yield {"DP_URL": "", "LESSON_POSTGRESQL": server.url()}


def read(name: str, kind: str = "py") -> NotebookNode:
    """Return a notebook as it is reviewed (py) or as it is shipped (ipynb)."""
    import jupytext  # noqa: PLC0415 - see above

    folder = SOURCE if kind == "py" else NOTEBOOKS
    notebook: NotebookNode = jupytext.read(folder / f"{name}.{kind}")
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook as it is shipped."""
    import nbformat  # noqa: PLC0415 - see above

    nbformat.write(notebook, path)


def execute(
    notebook: NotebookNode, directory: Path, env: Mapping[str, str]
) -> NotebookNode:
    """
    Run all cells in a new kernel, and return the notebook with their outputs.

    Args:
        notebook: It gets the outputs.
        directory: The kernel's current directory.
        env: Added to this process's environment.
    """
    from nbclient import NotebookClient  # noqa: PLC0415 - see above

    with _sockets() as place:
        manager = Manager(transport="ipc", connection_file=f"{place}/k.json")
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=120,
            record_timing=False,
            coalesce_streams=True,
        )
        # So that it ends the kernel and closes its sockets.
        client.owns_km = True
        scratch = Path(place, "tmp")
        scratch.mkdir()
        environment = {**os.environ, "TMPDIR": str(scratch), **env}
        client.execute(cwd=str(directory), env=environment)
        _wait_until_empty(scratch)
    if left := list(directory.iterdir()):
        raise AssertionError(f"the notebook has left {left}")
    return notebook


def _wait_until_empty(scratch: Path) -> None:
    """Wait until what the notebook worked in is gone, as it should be by itself."""
    deadline = time.monotonic() + _PATIENCE
    while left := list(scratch.iterdir()):
        if time.monotonic() > deadline:
            raise AssertionError(f"the notebook has left {left}")
        time.sleep(0.05)


@contextmanager
def _sockets() -> Iterator[str]:
    # The path of a socket is short; those of pytest's directories are not.
    with tempfile.TemporaryDirectory(prefix="dp-", dir="/tmp") as place:
        yield place


def output_text(cell: Mapping[str, Any]) -> str:
    """Return all that a cell put out, as text."""
    parts = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        parts += [output.get("text", ""), *map(str, data.values())]
        parts += [output.get("evalue", ""), *output.get("traceback", ())]
    return "\n".join(parts)


def _plain_to_store(notebook: NotebookNode) -> NotebookNode:
    """Remove what differs from run to run and says nothing."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02}"
        cell["metadata"].pop("execution", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main(names: list[str]) -> int:
    """Run and store; return the exit code."""
    for name in names or NAMES:
        notebook, begun = read(name), time.monotonic()
        with tempfile.TemporaryDirectory() as directory, surroundings(name) as env:
            execute(notebook, Path(directory), env)
        took = time.monotonic() - begun
        bad = [
            match[0]
            for c in notebook.cells
            for match in FOREIGN.finditer(output_text(c))
        ]
        bad += [
            out["text"]
            for c in notebook.cells
            for out in c.get("outputs", ())
            if out.get("name") == "stderr"
        ]
        print(f"{name}: {took:.1f} s", *bad)  # noqa: T201 - a program
        if bad:
            return 1
        (NOTEBOOKS / name).parent.mkdir(exist_ok=True)
        write(_plain_to_store(notebook), NOTEBOOKS / f"{name}.ipynb")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
