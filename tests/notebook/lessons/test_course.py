"""The notebooks as a course: pages in an order, with questions and no answers."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from os.path import relpath
from pathlib import Path
from typing import Any, Final

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from dp_core.notebook import Sealed
from support.notebook.answers import EXERCISES
from support.notebook.execute import NAMES, SOURCE
from support.notebook.execute import read as read_anew
from support.paths import NOTEBOOKS

FIRST: Final = "00_start_here"
read: Final = cache(read_anew)
"""Return a notebook, which no test changes."""

SEALED: Final = re.compile(r'Sealed\(\s*"([^"]+)"')


@cache
def code(name: str) -> list[ast.Module]:
    """Return the code cells of a notebook, in which magics are calls."""
    plain = TransformerManager().transform_cell  # type: ignore[no-untyped-call] # IPython's
    cells = [cell["source"] for cell in read(name).cells if cell["cell_type"] == "code"]
    return [ast.parse(plain(cell)) for cell in cells if not cell.startswith("%%")]


def calls(name: str, function: str) -> list[ast.Call]:
    """Return the calls of a function or method in a notebook."""
    return [
        node
        for cell in code(name)
        for node in ast.walk(cell)
        if isinstance(node, ast.Call)
        and function in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
    ]


def prose(name: str) -> list[str]:
    """Return the text cells of a notebook."""
    cells = read(name).cells
    return [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]


def link(page: str, other: str) -> str:
    """Return what a page links another one by."""
    return f"{relpath(other, Path(page).parent)}.ipynb"


def test_the_folders() -> None:
    """Pages are numbered, and what a reader sees is they and a folder of sources."""
    assert [FIRST, *NAMES[1:]] == NAMES
    assert [*range(len(NAMES))] == [int(Path(name).name[:2]) for name in NAMES]
    shown = {
        path.relative_to(NOTEBOOKS).as_posix()
        for path in NOTEBOOKS.rglob("*")
        if not path.is_dir() and "/." not in str(path) and SOURCE not in path.parents
    }
    assert {f"{name}.ipynb" for name in NAMES} == shown


def test_two_parts() -> None:
    """The pages of a folder follow each other: first what it is, then practice."""
    folders = [str(Path(name).parent) for name in NAMES]
    assert sorted(folders) == folders
    assert {".", "in_practice"} == {*folders}


def test_the_first_page() -> None:
    """It says who the pages are for, and of each how long it takes and what for."""
    text = "\n".join(prose(FIRST))

    assert "**For whom?**" in text
    row = r"^\| \[[^]]+\]\(([\w/]+)\.ipynb\) \| (\d+) min \| .{20,} \|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert NAMES[1:] == [name for name, _ in rows]


def test_each_page_leads_to_its_neighbours() -> None:
    """At its head and at its end a page links the one before and the next."""
    for before, after in pairwise(NAMES):
        for cell in (prose(before)[0], prose(before)[-1]):
            assert re.search(rf"\[next: .+ →\]\({link(before, after)}\)", cell)
        for cell in (prose(after)[0], prose(after)[-1]):
            assert re.search(rf"\[← .+\]\({link(after, before)}\)", cell)
            assert f"({link(after, FIRST)})" in cell


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_pages(name: str) -> None:
    """A link to a page, in any sentence, leads to one that is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", "\n".join(prose(name))):
        page = NOTEBOOKS / name
        assert (page.parent / target).exists() or target.startswith("https:")


@pytest.mark.parametrize("name", NAMES)
def test_pairs_do_not_drift(name: str) -> None:
    """The notebook that is shipped has the cells of the one that is reviewed."""
    reviewed, shipped = (
        [(c["cell_type"], c["source"], c["metadata"]) for c in read(name, kind).cells]
        for kind in ("py", "ipynb")
    )

    assert reviewed == shipped


@pytest.mark.parametrize("name", NAMES)
def test_every_page_teaches(name: str) -> None:
    """Each asks for predictions, compares them, checks, and gives exercises."""
    source = "\n".join(cell["source"] for cell in read(name).cells)

    asked = re.findall(r"^(\w+) = Question\(", source, re.MULTILINE)
    assert asked
    assert asked == re.findall(r"^%predict (\w+)$", source, re.MULTILINE)
    assert asked == re.findall(r"^(\w+)\.compare\(", source, re.MULTILINE)
    assert "assert " in source
    hints = source.count("<details><summary>Hint</summary>")
    assert len(calls(name, "check")) == hints == source.count("</details>") >= 1
    assert hints >= 3 or name == FIRST


@pytest.mark.parametrize("name", NAMES)
def test_comparisons_are_of_what_happened(name: str) -> None:
    """Whatever a prediction is compared with is computed from things of the run."""
    for call in calls(name, "compare"):
        assert not call.args
        for answer in call.keywords:
            used = [
                node for node in ast.walk(answer.value) if isinstance(node, ast.Name)
            ]
            assert used, ast.unparse(call)
    assert [] == calls(name, "reveal") + calls(name, "guess")


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_is_on_the_page(name: str) -> None:
    """A check knows the answer; its cell does not say it, in its advice neither."""
    sealed = []
    for call in calls(name, "check"):
        wanted, advice = call.args[1], ast.literal_eval(call.args[2])
        if isinstance(wanted, ast.Lambda):
            continue
        assert "Sealed" == getattr(getattr(wanted, "func", None), "id", None)
        sealed.append(advice)
    assert len(EXERCISES[name]) == len(sealed)
    for advice, (accepted, _) in zip(sealed, EXERCISES[name], strict=True):
        for answer in accepted:
            if isinstance(answer, str):
                assert not re.search(
                    rf"\b{re.escape(answer)}\b", advice, re.IGNORECASE
                ), advice


@pytest.mark.parametrize("name", NAMES)
def test_the_seals_are_of_the_answers(name: str) -> None:
    """Each check takes what is right in each of its forms, and nothing else."""
    source = "\n".join(cell["source"] for cell in read(name).cells)

    seals = [Sealed(text) for text in SEALED.findall(source)]
    for sealed, (accepted, refused) in zip(seals, EXERCISES[name], strict=True):
        assert [] == [one for one in accepted if sealed.what_is_wrong(one)]
        assert [] == [one for one in refused if not sealed.what_is_wrong(one)]


@pytest.mark.parametrize("name", NAMES)
def test_code_for_a_process_is_code(name: str) -> None:
    """No cell for a process is a text: it is highlighted, and can be completed."""
    for method in ("run", "run_all", "run_each", "begin"):
        assert [] == [c for c in calls(name, method) if "self" not in ast.unparse(c)]


@pytest.mark.parametrize("name", NAMES)
def test_rules_that_are_cited_are_on_the_page(name: str) -> None:
    """Who reads of "rule 3" finds it above."""
    text = "\n".join(prose(name))

    for cited in re.finditer(r"\brule (\d)", text):
        assert re.search(rf"^{cited[1]}\. \w", text[: cited.start()], re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_code_is_as_wide_as_a_page(name: str) -> None:
    """At 900 pixels JupyterLab shows a line of 90 characters, and no more."""
    for cell in read(name).cells:
        if cell["cell_type"] == "code":
            assert [] == [line for line in cell["source"].split("\n") if len(line) > 90]


def test_25_lines_are_25() -> None:
    """The promise around `os.link` has as many lines as the page says."""
    cells = read("06_build_your_own").cells
    [tiny] = [c["source"] for c in cells if c["source"].startswith("%%writefile tiny")]

    lines = [line for line in tiny.split("\n")[1:] if line.strip()]
    without = [line for line in lines if not re.match("import |from ", line)]
    assert 25 == len(without)
    assert "without its imports and its empty lines it has 25" in prose(
        "06_build_your_own"
    )[1].replace("\n", " ")


def test_example_1_does_not_tell_its_end() -> None:
    """What the late rejection prints is on the page only after the question."""
    cells = [cell["source"] for cell in read("02_example1").cells]
    told = [
        n for n, cell in enumerate(cells) if "Actual result after rejection: T" in cell
    ]

    assert min(told) > cells.index("%predict rejecting")
    shipped: Any = read("02_example1", "ipynb")
    printed = [
        out.get("text", "") for c in shipped.cells for out in c.get("outputs", ())
    ]
    assert "Peeked value: Pending()\n" in printed
    assert not [text for text in printed if "null" in text]
