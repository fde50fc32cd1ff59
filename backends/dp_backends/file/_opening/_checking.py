"""`check_store`: the directory of a store, looked at without opening it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final

from dp_backends._system import check_directory, check_disk, check_reports, explained
from dp_backends.file._opening._finding import check_foreign, format_of
from dp_backends.file._opening._owners import open_parent
from dp_core import BackendError
from dp_core.backend import Check

__all__ = ["check_store"]

_NAME: Final = "directory"
_OTHERS_MAY_WRITE: Final = 0o022


def check_store(root: str) -> Iterator[Check]:
    """
    Yield what is found about the store in a directory; nothing is opened or repaired.

    Args:
        root: The directory, absolute.
    """
    try:
        with explained(f"look at {root}"):
            yield from _check(root)
    except BackendError as error:
        yield Check.failed(_NAME, error, "look at owner and mode of what it names")


def _check(root: str) -> Iterator[Check]:
    is_there = os.path.lexists(root)
    failures = list(check_directory(root, makes_it=True))
    owner = _owner(root) if is_there and not failures else None
    if owner is not None:
        failures.append(owner)
    yield from failures
    if any(check.status == "problem" for check in failures):
        return
    if is_there:
        yield from _content(root)
    else:
        yield Check(
            "store",
            "warning",
            f"there is no store at {root} yet",
            "look whether the URL is right; the first settle makes the store",
        )
    above = root
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    yield from check_disk(above, needs_links=True)
    yield check_reports(above)


def _owner(root: str) -> Check | None:
    """Return what is wrong with the owner or the mode of a directory."""
    status = os.stat(root)
    if status.st_uid != os.geteuid():
        return Check(
            _NAME,
            "problem",
            f"{root} belongs to user {status.st_uid}, and this is user {os.geteuid()}",
            "run as its owner, share it by `dp serve`, or name another directory",
        )
    if status.st_mode & _OTHERS_MAY_WRITE:
        return Check(
            _NAME,
            "warning",
            f"others may write into {root} (mode {stat.S_IMODE(status.st_mode):04o})",
            f"chmod 700 {root}; the next use of the store does it, too",
        )
    return None


def _content(root: str) -> Iterator[Check]:
    try:
        form = format_of(root)
        if form is None:
            check_foreign(root)
    except BackendError as error:
        yield Check.failed("store", error, "name another directory")
        return
    if form is not None:
        yield Check("store", "ok", f"{root} is a store of format {form}")
    else:
        yield Check(
            "store",
            "warning",
            f"{root} is not a whole store yet",
            "look whether the URL is right; the first settle makes it one",
        )
    if (parent := open_parent(root)) is not None:
        yield Check(
            _NAME,
            "warning",
            f"others may write into {parent}, and put another store in the place of "
            "this one",
            f"let root or user {os.geteuid()} alone own and write it",
        )
