"""The words of the code: how docstrings begin, what errors say, who has which name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.paths import ROOT, SOURCES, nodes, parsed

# A docstring begins with a verb or a noun of the field.
HEADLESS: Final = re.compile(
    r"(What|Who|Whom|Whose|Which|How|Where|Whoever|Whatever|Whichever)\b"
)
# Users read "not a valid URL", never "is no URL".
NO_NOUN: Final = re.compile(
    r"(?<![Tt]here )\b(is|are|was|were|be) no (?!longer\b|more\b|other\b)[a-z]"
)
# One word a thing (docs/glossary.md): what these meant is called settle or outcome.
FORBIDDEN: Final = re.compile(
    r"\b(completions?|what stands|what stood|whatever stands|exhibits?)\b",
    re.IGNORECASE,
)
# What is repeated over a disposal meets the next generation, and no store can tell; so
# whoever says "safe" says until when.
REPEATED: Final = re.compile(
    r"safe\s+to\s+repeat|repeating\s+(it|a\s+\w+)\s+is\s+safe|again`?\s+is\s+"
    r"(always\s+)?safe|\b(operation|call|settle|create)s?\s+(can|may)\s+be\s+repeated",
    re.IGNORECASE,
)
# Others are made from docstrings, and are there where the site was built.
PAGES: Final = [
    ROOT / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not {"_build", "api", "museum"} & {*page.parts}
    ),
]
# Words that mean something else where they stand.
ALLOWED: Final = {
    "dp_core": "completion",  # the deprecated name of settle_command
    "dp_core.cli._commands": "completion",  # of a shell's commands
    "dp_core.cli._commands._tools": "completion",
    "dp_core.cli._main": "completion",
    "dp_core.cli._input": "completion",
}
# The wire calls its calls as the state machine calls its commands, and `dp_core.sync`
# its classes as the async ones are called.
SHARED_NAMES: Final = {"AsSettled", "Dispose", "DurablePromise", "Promises"}

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(name: str) -> Iterator[tuple[int, str]]:
    """Return the docstrings in a module, with their lines."""
    for node in nodes(name):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text
    # An attribute's docstring is a string that stands alone.
    for node in nodes(name):
        match node:
            case ast.Expr(ast.Constant(str(text))):
                yield node.lineno, text.strip()


def texts(name: str) -> Iterator[tuple[int, str]]:
    """Return all strings in a module, with their lines."""
    for node in nodes(name):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    """No docstring begins with a headless clause such as "What it does"."""
    assert [] == [
        (name, line, text.splitlines()[0])
        for name in SOURCES
        for line, text in docstrings(name)
        if HEADLESS.match(text)
    ]


def test_no_text_says_is_no() -> None:
    """A text says "is not a valid id", and not "is no id"."""
    assert [] == [
        (name, line, text)
        for name in SOURCES
        for line, text in texts(name)
        if NO_NOUN.search(text)
    ]


def test_one_word_a_thing() -> None:
    """Names, comments and texts use the words of the glossary."""
    assert [] == [
        (name, number, line)
        for name, path in SOURCES.items()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for word in FORBIDDEN.findall(line)
        if word.lower() != ALLOWED.get(name)
    ]


def unbounded(text: str) -> list[str]:
    """Return the paragraphs that say "safe to repeat", and nothing of disposals."""
    return [
        paragraph
        for paragraph in re.split(r"\n\s*\n", text)
        if REPEATED.search(paragraph) and "dispos" not in paragraph
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_say_until_when_repeating_is_safe(page: Path) -> None:
    """No page promises that repeating is safe, and is silent about disposals."""
    assert [] == unbounded(page.read_text(encoding="utf-8"))


def test_docstrings_say_until_when_repeating_is_safe() -> None:
    """No docstring does either."""
    assert [] == [
        (name, line, paragraph)
        for name in SOURCES
        for line, text in docstrings(name)
        for paragraph in unbounded(text)
    ]


def test_a_class_has_its_name_alone() -> None:
    """No two classes share a name, whatever underscore is before it."""
    homes = defaultdict(list)
    for name in SOURCES:
        for node in nodes(name):
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(name)

    assert {} == {
        word: places
        for word, places in homes.items()
        if len(places) > 1 and word not in SHARED_NAMES
    }


def test_a_module_names_what_it_defines() -> None:
    """The first paragraph of a module with one public name has that name in it."""
    nameless = []
    for name in SOURCES:
        first = (ast.get_docstring(parsed(name)) or "").split("\n\n")[0]
        for node in parsed(name).body:
            match node:
                case ast.Assign([ast.Name("__all__")], ast.List([ast.Constant(only)])):
                    if str(only) not in first:
                        nameless.append((name, only))

    assert [] == nameless


def test_the_rules_are_written_down() -> None:
    """CONTRIBUTING says what is checked here."""
    text = Path(ROOT, "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert "not a valid" in text
