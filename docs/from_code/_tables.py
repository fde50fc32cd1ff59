"""Tables for the pages: transitions, errors, laws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import dp_core
from dp_core.testing import LAWS, Law

__all__ = ["error_tree", "laws", "needs_in_words", "transitions"]


def transitions() -> str:
    """Return `dp_core.TRANSITIONS` as a table."""
    commands = list(
        dict.fromkeys(c for row in dp_core.TRANSITIONS.values() for c in row)
    )
    head = ["", *(f"`{command.__name__}`" for command in commands)]
    rows = [
        [f"**{state.__name__}**", *(row[command].__name__ for command in commands)]
        for state, row in dp_core.TRANSITIONS.items()
    ]
    return _table(head, rows)


def error_tree() -> str:
    """Return the errors of `dp_core` as an indented list with their meanings."""
    return "\n".join(_branch(dp_core.DurablePromiseError, 0))


def _branch(error: type[Exception], depth: int) -> Iterator[str]:
    meaning = (error.__doc__ or "").strip().partition("\n\n")[0]
    link = f"{{py:obj}}`{error.__name__} <dp_core.{error.__name__}>`"
    yield f"{'  ' * depth}* {link}: {' '.join(meaning.split())}"
    for kind in error.__subclasses__():
        if kind.__name__ in dp_core.__all__:
            yield from _branch(kind, depth + 1)


def laws() -> str:
    """Return the laws of the conformance kit, a table for each subject."""
    subjects: defaultdict[str, list[Law]] = defaultdict(list)
    for law in LAWS.values():
        subjects[law.check.__module__.rpartition(".")[2]].append(law)
    return "\n\n".join(
        f"## {subject.capitalize()}\n\n{_law_table(found)}"
        for subject, found in subjects.items()
    )


def needs_in_words(law: Law) -> str:
    """Return which stores a law applies to, in words; empty for any."""
    if "outage" in law.needs:
        return "whose author says how to make them fail for a while"
    if "own_process" in law.needs:
        return "that are judged in a process which is there for the laws alone"
    kinds = " and ".join(sorted(law.needs & {"durable", "shared"}))
    words = [f"are {kinds}"] if kinds else []
    words += [what for need, what in _REGISTRY.items() if need in law.needs]
    return f"that {' and '.join(words)}" if words else ""


_REGISTRY = {"terms": "keep terms", "listing": "can be listed"}


def _law_table(found: list[Law]) -> str:
    head = ["law", "demands", "sentence of the contract", "for stores"]
    rows = [
        [
            f"[{law.name}](../museum/{law.name}.md)",
            law.sentence,
            law.contract,
            needs_in_words(law) or "of any kind",
        ]
        for law in found
    ]
    return _table(head, rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
