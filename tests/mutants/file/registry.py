"""
The museum of mistakes a file store can make: each is believable, and was made.

`mutated` makes one of them in this process; `support.file.child` makes it in
the processes that are killed. `tests/mutants/file/test_mutants.py` says which proof
catches which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from unittest.mock import patch

from mutants.file import mistakes, mistakes_errors
from mutants.file.mistakes import Change

__all__ = ["MUTANTS", "mutated"]

MUTANTS: Final[dict[str, Callable[[], list[Change]]]] = {
    mistake.__name__.replace("_", "-"): mistake
    for mistake in (*mistakes.MISTAKES, *mistakes_errors.MISTAKES)
}
"""Every mistake, by its name."""


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Make the mistake of that name in this process; none without one."""
    with ExitStack() as stack:
        for owner, attribute, replacement in MUTANTS[name]() if name else ():
            stack.enter_context(patch.object(owner, attribute, replacement))
        yield
