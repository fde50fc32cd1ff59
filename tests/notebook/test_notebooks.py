"""The notebooks run, in real kernels, and are shipped with what a run puts out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from support.notebook.execute import (
    FOREIGN,
    NAMES,
    NOTEBOOKS,
    execute,
    output_text,
    read,
)
from support.notebook.happened import ASK, assert_it_happened
from support.notebook.witness import Witness

EXPECTED: Final = [
    "01_what_is_a_durable_promise",
    "02_example1",
    "03_example2",
    "04_example3",
    "05_same_code_any_backend",
    "06_build_your_own",
    "07_signals_between_systems",
    "08_trio",
]
EXAMPLES: Final = ["02_example1", "03_example2", "04_example3"]
LABEL: Final = re.compile(r"^(\w+) +(\d+) │", re.MULTILINE)


PID: Final = re.compile(r"^\w+ +(\d+) │", re.MULTILINE)


def code_cells(notebook: Any) -> list[Mapping[str, Any]]:
    """Return the cells that run."""
    return [cell for cell in notebook.cells if cell["cell_type"] == "code"]


def all_text(notebook: Any) -> str:
    """Return what all cells put out, as text."""
    return "\n".join(map(output_text, notebook.cells))


def expects_errors(cell: Mapping[str, Any]) -> bool:
    """Tell whether a cell provokes an error on purpose."""
    return "raises-exception" in cell["metadata"].get("tags", ())


def test_the_notebooks_are_found() -> None:
    """There are notebooks, each as a pair; the tests below look at all of them."""
    assert EXPECTED == NAMES
    assert NAMES == sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def test_each_notebook_leads_to_the_next() -> None:
    """In teaching order, every notebook but the last ends with a link to the next."""
    for name, following in pairwise(NAMES):
        assert f"({following}.ipynb)" in read(name).cells[-1]["source"]


@pytest.mark.parametrize("name", NAMES)
def test_pairs_do_not_drift(name: str) -> None:
    """The notebook that is shipped has the cells of the one that is reviewed."""
    reviewed, shipped = read(name, "py"), read(name, "ipynb")

    assert [(c["cell_type"], c["source"]) for c in reviewed.cells] == [
        (c["cell_type"], c["source"]) for c in shipped.cells
    ]


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
def test_every_notebook_teaches(name: str) -> None:
    """Each asks for predictions, reveals them, checks, and gives exercises."""
    cells = read(name).cells
    source = "\n".join(cell["source"] for cell in cells)

    assert source.count(".guess(") == source.count(".reveal(") >= 1
    assert "assert " in source
    assert source.count("<details><summary>Hint</summary>") >= 2
    assert source.count("<details>") == source.count("</details>")
    assert len(re.findall(r"^check\(", source, re.MULTILINE)) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_run_on_files(name: str, tmp_path: Path) -> None:
    """
    Run from its first to its last cell, a notebook ends with all checks true.

    What it shows of its processes is what the operating system saw of them.
    """
    notebook = watched(name, tmp_path, {"DP_URL": ""})

    check(name, notebook)
    SHOWN.get(name, lambda notebook: None)(notebook)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_over_http(name: str, tmp_path: Path, server: str) -> None:
    """The same cells on a server: only DP_URL differs."""
    notebook = watched(name, tmp_path, {"DP_URL": server})

    check(name, notebook)
    assert not list(tmp_path.glob("promises"))


def watched(name: str, directory: Path, env: Mapping[str, str]) -> Any:
    """Run a notebook, and compare what it shows with what a witness saw."""
    from nbformat import v4  # noqa: PLC0415 - to import it takes seconds

    notebook = read(name)
    notebook.cells.append(v4.new_code_cell(ASK))
    witness = Witness(directory)
    with witness.watching():
        execute(notebook, directory, {**env, **witness.env})
    told = output_text(notebook.cells.pop())
    assert_it_happened(notebook, told, witness)
    return notebook


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
    lanes, words = shown_by(notebook, "lanes(*BARRIER)")

    found = re.search(r"^ben (\d+) → (\d+)  ☠", lanes, re.MULTILINE)
    assert found
    old, new = found.groups()
    killed = words.index(f"s  ben {old}  killed: signal 9\n")
    assert killed < words.index(f"s  ben {new}  process starts\n")


SHOWN: Final[Mapping[str, Callable[[Any], None]]] = {
    "04_example3": check_deaths,
    "07_signals_between_systems": check_barrier,
}

CHECKS: Final = {"03_example2": check_several, "04_example3": check_several}
