"""The museum: one page a law, made from the laws and the mutants alone."""

from __future__ import annotations

import re

import pytest

from dp_core.testing import LAWS
from mutants.contract.registry import MUTANTS
from mutants.file.registry import load_mutants

pytest.importorskip("sphinx")

from from_code import museum_pages


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    return museum_pages()


def test_every_law_has_a_page(pages: dict[str, str]) -> None:
    """There is a page for each law, one for the file store, and an index."""
    expected = {"index.md", "file-store.md", *(f"{law}.md" for law in LAWS)}

    assert expected == pages.keys()


def test_every_mutant_is_on_the_page_of_its_law(pages: dict[str, str]) -> None:
    """Its description, its source and its violation are there."""
    for mutant in MUTANTS.values():
        page = pages[f"{mutant.law}.md"]
        assert f"\n### {mutant.name}\n" in page
        assert f"\nclass {mutant.name}(" in page
        assert f"\n```text\n{mutant.law}: " in page


def test_every_mutant_of_the_file_store_has_a_proof(pages: dict[str, str]) -> None:
    """Its mistake, where it was seen, and at least one proof that catches it."""
    page = pages["file-store.md"]

    for name, mutant in load_mutants().items():
        _, _, part = page.partition(f"\n## {name}\n")
        assert mutant.mistake.split()[0] in part
        assert re.search(r"Proofs that catch it:\n\n\* [A-Z]", part.split("\n## ")[0])


def test_the_index_counts_laws_and_mutants(pages: dict[str, str]) -> None:
    """The counts are those of the registry."""
    index = pages["index.md"]

    assert f"{len(MUTANTS)} mutants" in index
    assert f"each of its {len(LAWS)} laws" in index


def test_the_pages_are_the_same_on_every_machine(pages: dict[str, str]) -> None:
    """They contain no addresses, no paths of this machine, and no random ids."""
    text = "\n".join(pages.values())

    assert [] == re.findall(
        r"0x[0-9a-f]{6}|/home/|/tmp/\w|/work/|[0-9a-f]{10}-\d", text
    )
    assert pages == museum_pages()
