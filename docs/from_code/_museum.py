"""`write_museum`: a page for each law, with the mutants that it catches."""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import dropwhile
from pathlib import Path
from typing import Any, Final

from dp_core.testing import LAWS, Law
from from_code._files import replace
from from_code._tables import needs_in_words
from mutants.contract.registry import MUTANTS, Mutant, load
from mutants.contract.violations import RECORDED
from mutants.file.registry import Mutant as FileMutant
from mutants.file.registry import load_mutants

__all__ = ["museum_pages", "write_museum"]

_SPECIAL: Final = re.compile(r"[\\*_{}\[\]<>$|#]")
_CODE: Final = re.compile(r"(`[^`]*`)")
_ROOT: Final = Path(__file__).parents[2]

_PROOFS: Final = {
    "kills": "A process is killed at every system call of “{}”.",
    "cuts": "The power is cut after a kill at every system call of “{}”.",
    "faults": "Every system call of “{}” fails, with every error.",
    "races": "Processes race to settle the same promises.",
    "storms": "Processes settle, dispose of and peek at the same promises.",
    "goes_on": "Each fsync fails once, and the same handle goes on.",
    "hidden": "Two disposers are killed, and the power is cut.",
}

_INDEX: Final = """# The museum of mutants

A *mutant* is a backend that is wrong on purpose: it is right but for one mistake
that people make. The conformance kit is tested with {mutants} mutants of the backend
contract: each of its {laws} laws catches at least one of them, and for each law there
is a mutant that no other law catches. Beside each mutant is the place where its
mistake was seen before.

{file_mutants} more mutants are mistakes of a file store with durability, atomicity and
errors. [Proofs with killed processes and failing system calls](file-store.md) catch
them.

A right backend passes all laws. [Write a backend](../how-to/write-a-backend.md) shows
how to try yours.

{tables}

```{{toctree}}
:hidden:
file-store
```
"""


def write_museum(folder: Path) -> None:
    """Write the pages of the museum into *folder*."""
    replace(folder, museum_pages())


def museum_pages() -> dict[str, str]:
    """Return ``{file name: text}`` of the pages: an index, and one page a law."""
    load()
    caught: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in MUTANTS.values():
        caught[mutant.law].append(mutant)
    pages = {f"{law.name}.md": _law_page(law, caught[law.name]) for law in _laws()}
    return pages | {
        "index.md": _index(caught),
        "file-store.md": _file_page(load_mutants()),
    }


def _laws() -> Iterable[Law]:
    return LAWS.values()


def _index(caught: Mapping[str, list[Mutant]]) -> str:
    subjects: defaultdict[str, list[Law]] = defaultdict(list)
    for law in _laws():
        subjects[law.check.__module__.rpartition(".")[2]].append(law)
    tables = "\n\n".join(
        "\n".join(
            [
                f"## {subject.capitalize()}",
                "",
                "| law | demands | mutants |",
                "| --- | --- | --- |",
                *(
                    f"| [{law.name}]({law.name}.md) | {_prose(law.sentence)} "
                    f"| {len(caught[law.name])} |"
                    for law in laws
                ),
            ]
        )
        for subject, laws in subjects.items()
    )
    return _INDEX.format(
        mutants=len(MUTANTS),
        laws=len(LAWS),
        file_mutants=len(load_mutants()),
        tables=tables,
    )


def _law_page(law: Law, mutants: list[Mutant]) -> str:
    return "\n".join(_law_lines(law, mutants))


def _law_lines(law: Law, mutants: list[Mutant]) -> Iterator[str]:
    # The tables of the index lead here. The navigation, which is on every page,
    # would double in length.
    yield "---\norphan: true\n---\n"
    yield f"# {law.name}"
    yield "\n[The museum of mutants](index.md)\n"
    yield f"{_prose(law.sentence)}\n"
    yield f"The contract says: *{_prose(law.contract)}*\n"
    if law.needs:
        yield f"It applies to stores {needs_in_words(law)}.\n"
    if law.method:
        yield f"{_prose(law.method)}\n"
    yield "## The check\n"
    yield _code(law.check)
    yield "## Mutants that it catches\n"
    for mutant in mutants:
        yield from _mutant_lines(mutant)


def _mutant_lines(mutant: Mutant) -> Iterator[str]:
    yield f"### {mutant.name}\n"
    yield f"{_prose(mutant.mistake)}\n"
    yield f"Seen before: {_prose(mutant.seen)}.\n"
    if mutant.alone:
        yield "No other law catches it.\n"
    yield _code(mutant.backend)
    yield "The violation, as the kit prints it:\n"
    yield f"```text\n{RECORDED[mutant.name]}\n```\n"


def _file_page(mutants: Mapping[str, FileMutant]) -> str:
    return "\n".join(_file_lines(mutants))


def _file_lines(mutants: Mapping[str, FileMutant]) -> Iterator[str]:
    yield "# Mutants of the file store\n"
    yield (
        "Each replaces a part of the `file:` store by a mistake with durability, "
        "atomicity, waiting or errors. Proofs with real processes catch them: see "
        "`tests/mutants/file/test_mutants.py`.\n"
    )
    proofs = _file_proofs()
    for name, mutant in mutants.items():
        yield f"## {name}\n"
        yield f"{_prose(' '.join(mutant.mistake.split()))}\n"
        yield f"Seen before: {_prose(mutant.seen)}.\n"
        yield "Proofs that catch it:\n"
        yield "".join(f"* {proof}\n" for proof in proofs[name])
        yield _code(mutant.changes)


def _file_proofs() -> dict[str, list[str]]:
    """Return ``{mutant: its proofs in words}``, as the table of the tests has them."""
    source = (_ROOT / "tests/mutants/file/test_mutants.py").read_text("utf-8")
    proofs: defaultdict[str, list[str]] = defaultdict(list)
    for node in ast.parse(source).body:
        match node:
            case ast.AnnAssign(
                target=ast.Name(id="CAUGHT"), value=ast.Tuple(elts=rows)
            ):
                for row in rows:
                    match row:
                        case ast.Tuple(elts=[ast.Constant(value=str(name)), proof, _]):
                            proofs[name].append(_proof_in_words(proof))
    return proofs


def _proof_in_words(proof: ast.expr) -> str:
    match proof:
        case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=what), *_]):
            return _PROOFS[kind].format(what)
        case ast.Call(args=[ast.Name(id=name)]) | ast.Name(id=name):
            return _PROOFS.get(name, f"The proof `{name}` fails on it.")
        case _:
            raise ValueError(f"not a proof that the museum knows: {ast.unparse(proof)}")


def _code(value: type | Callable[..., Any]) -> str:
    """Return the source of a class or function, without decorators and docstring."""
    path = Path(inspect.getsourcefile(value) or "").resolve()
    source = _definitions(path)[value.__name__]
    return f"```python\n# {path.relative_to(_ROOT).as_posix()}\n{source}\n```\n"


@cache
def _definitions(path: Path) -> Mapping[str, str]:
    """Return ``{name: source}`` of what a module defines at its top level."""
    text = path.read_text("utf-8")
    lines = text.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kept = lines[node.lineno - 1 : node.end_lineno]
            if ast.get_docstring(node):
                first, last = node.body[0].lineno, node.body[0].end_lineno or 0
                body = dropwhile(lambda line: not line, lines[last : node.end_lineno])
                kept = [*lines[node.lineno - 1 : first - 1], *body]
            found[node.name] = "\n".join(kept)
    return found


def _prose(text: str) -> str:
    """Return *text* as MyST, in which only `code` in backticks has a meaning."""
    return "".join(
        part if n % 2 else _SPECIAL.sub(r"\\\g<0>", part)
        for n, part in enumerate(_CODE.split(text))
    )
