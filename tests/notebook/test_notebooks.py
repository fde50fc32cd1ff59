"""The notebooks run, in real kernels, and are shipped with what a run puts out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from support.notebook.answers import HAPPENS
from support.notebook.comparison import normal_outputs
from support.notebook.execute import (
    FOREIGN,
    NAMES,
    execute,
    output_text,
    read,
    surroundings,
)
from support.notebook.happened import ASK, assert_it_happened
from support.notebook.witness import Witness

EXAMPLES: Final = ["02_example1", "03_example2", "04_example3"]
LABEL: Final = re.compile(r"^(\w+) +(\d+) │", re.MULTILINE)
PID: Final = re.compile(r"^\w+ +(\d+) │", re.MULTILINE)

ANSWERS: Final = """\
from dp_core.notebook import Question
print({n: q._memory.happened for n, q in globals().items() if isinstance(q, Question)})
"""
"""A last cell that tells what the run gave to each question."""


def code_cells(notebook: Any) -> list[Mapping[str, Any]]:
    """Return the cells that run."""
    return [cell for cell in notebook.cells if cell["cell_type"] == "code"]


def all_text(notebook: Any) -> str:
    """Return what all cells put out, as text."""
    return "\n".join(map(output_text, notebook.cells))


def expects_errors(cell: Mapping[str, Any]) -> bool:
    """Tell whether a cell provokes an error on purpose."""
    return "raises-exception" in cell["metadata"].get("tags", ())


@pytest.mark.parametrize("name", NAMES)
def test_shipped_outputs_are_of_a_clean_run(name: str) -> None:
    """Every cell has run; no warning, no path of a machine, no unprovoked error."""
    notebook = read(name, "ipynb")

    cells = code_cells(notebook)
    assert [*range(1, len(cells) + 1)] == [cell["execution_count"] for cell in cells]
    for cell in cells:
        kinds = [output["output_type"] for output in cell["outputs"]]
        assert "error" not in kinds or expects_errors(cell), cell["source"]
        assert "stderr" not in [output.get("name") for output in cell["outputs"]]
    assert None is FOREIGN.search(all_text(notebook))
    if name in CHECKS:
        CHECKS[name](notebook, set(PID.findall(all_text(notebook))))


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_run_on_files(name: str, tmp_path: Path) -> None:
    """
    Run from its first to its last cell, a notebook ends with all checks true.

    What it shows of its processes is what the operating system saw of them. It puts
    out what is shipped, but for pids, times and ids; leaves nothing, neither in its
    directory nor in the temporary one; and decides each of its questions.
    """
    with surroundings(name) as env:
        notebook, happened = watched(name, tmp_path, env)

    check(name, notebook)
    SHOWN.get(name, lambda notebook: None)(notebook)
    assert HAPPENS[name].items() <= happened.items()
    assert "" not in happened.values()
    shipped = read(name, "ipynb")
    for ran, stored in zip(notebook.cells, shipped.cells, strict=True):
        assert normal_outputs(stored) == normal_outputs(ran), (
            f"make notebooks NAMES={name}; {ran['source']}"
        )


def test_only_what_python_puts_out_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel leaves its process's own stdout and stderr alone: C writes there."""
    from nbformat import v4  # noqa: PLC0415 - to import it takes seconds

    # Else ipykernel does so by itself.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    cell = v4.new_code_cell("import os; print(os.fstat(1).st_ino, os.fstat(2).st_ino)")
    execute(v4.new_notebook(cells=[cell]), tmp_path, {})

    own = f"{os.fstat(1).st_ino} {os.fstat(2).st_ino}"
    assert own == output_text(cell).strip()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_over_http(name: str, tmp_path: Path, server: str) -> None:
    """The same cells on a server: only DP_URL differs."""
    notebook, _ = watched(name, tmp_path, {"DP_URL": server})

    check(name, notebook)


def test_without_postgresql_a_section_is_left_out(tmp_path: Path) -> None:
    """Where no server can be reached, the page says so and goes on to its end."""
    name = "in_practice/11_a_thousand_settlers"
    nobody = "postgresql://somebody@localhost:1/postgres"
    env = {"DP_URL": "", "LESSON_POSTGRESQL": nobody}
    notebook, happened = watched(name, tmp_path, env)

    check(name, notebook)
    text = all_text(notebook)
    assert "No PostgreSQL can be reached, so this section is left out." in text
    assert "fsyncs of the server" not in text
    assert {
        "winners": "one",
        "together": "few",
        "alike": "",
    }.items() <= happened.items()


def watched(
    name: str, place: Path, env: Mapping[str, str]
) -> tuple[Any, dict[str, str]]:
    """
    Run a notebook, and compare what it shows with what a witness saw.

    Returns:
        The notebook, and what the run gave to each of its questions.
    """
    from nbformat import v4  # noqa: PLC0415 - to import it takes seconds

    notebook, own = read(name), place / "notebooks"
    own.mkdir()
    notebook.cells += [v4.new_code_cell(ASK), v4.new_code_cell(ANSWERS)]
    witness = Witness(place)
    with witness.watching():
        execute(notebook, own, {**env, **witness.env})
    happened = literal_eval(output_text(notebook.cells.pop()).strip().split("\n")[-1])
    assert_it_happened(notebook, output_text(notebook.cells.pop()), witness)
    return notebook, happened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a server, in a process of its own."""
    store = f"file:{tmp_path_factory.mktemp('server')}/promises"
    serve = [sys.executable, "-m", "dp_core", "serve", "--port", "0", "--url", store]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def check(name: str, notebook: Any) -> None:
    """Look at what a notebook put out."""
    text = all_text(notebook)
    [verdict] = [c for c in code_cells(notebook) if "All true." in c["source"]]
    assert "All true." in output_text(verdict)
    assert "✘ not so" not in text
    assert not [c for c in code_cells(notebook) if expects_errors(c)] or "error" in text

    processes: dict[str, set[str]] = {}
    for process, pid in LABEL.findall(text):
        processes.setdefault(pid, set()).add(process)
    for pid, names in processes.items():
        assert 1 == len(names), f"process {pid} is {names}"
        assert not psutil.pid_exists(int(pid)), f"process {pid} is left over"
    CHECKS.get(name, lambda notebook, pids: None)(notebook, set(processes))


def check_several(notebook: Any, pids: set[str]) -> None:
    """Look at the run of several processes on one promise."""
    [run] = [c for c in code_cells(notebook) if "will {'RESOLVE'" in c["source"]]
    text = output_text(run)
    ran = {pid for _, pid in LABEL.findall(text)}
    told = set(re.findall(r"= '(Completed by \d+)'", text))
    told |= set(re.findall(r"actually resolved to '(.*?)'", text))

    assert len(ran) == len(set(re.findall(r"(\d+) will ", text))) >= 5
    assert ran <= pids
    assert 1 == len(told)
    [board] = [c for c in code_cells(notebook) if c["source"].startswith("watch(")]
    assert "✔ resolved" in output_text(board)
    assert "○ pending" not in output_text(board)


def check_two(notebook: Any, pids: set[str]) -> None:
    """Look at the runs of the second example: what alice says is said once."""
    check_several(notebook, pids)
    assert 1 == len(
        re.findall(r"^alice .* Got result =", all_text(notebook), re.MULTILINE)
    )


def shown_by(notebook: Any, source: str) -> tuple[str, str]:
    """Return the lanes, and the same in words, that a cell shows."""
    [cell] = [c for c in code_cells(notebook) if source in c["source"]]
    [output] = cell["outputs"]
    html = output["data"]["text/html"]
    return output["data"]["text/plain"], unescape(html.partition("<pre>")[2])


def check_deaths(notebook: Any) -> None:
    """Before, during, after, and while waiting: the lanes have all of them."""
    lanes, words = shown_by(notebook, "%lanes {BEFORE}")

    for name in ("p0", "p3", "p4", "p5", "p6", "p7"):
        assert re.search(rf"s  {name} \d+  killed: signal 9\n", words), name
    for name in ("p0", "p3", "p4", "p5"):
        assert re.search(rf"s  {name} \d+  begins to settle 'during-{name}-", words)
    assert re.search(r"^p7 \d+ → \d+ ", lanes, re.MULTILINE)


def check_barrier(notebook: Any) -> None:
    """The barrier's lanes have ben's death, his new start, and both of his pids."""
    lanes, words = shown_by(notebook, "lanes(*BARRIER")

    found = re.search(r"^ben (\d+) → (\d+)  ☠", lanes, re.MULTILINE)
    assert found
    old, new = found.groups()
    assert not re.search("^server", lanes, re.MULTILINE)
    killed = words.index(f"s  ben {old}  killed: signal 9\n")
    assert killed < words.index(f"s  ben {new}  process starts\n")


SHOWN: Final[Mapping[str, Callable[[Any], None]]] = {
    "04_example3": check_deaths,
    "07_signals_between_systems": check_barrier,
}

CHECKS: Final = {"03_example2": check_two, "04_example3": check_several}
