"""
System calls of the file store that fail, one at a time.

`matrix` lets every call that an operation makes fail with every error, and
says what is wrong with what follows. The calls are those of Python's `os`,
replaced in this thread while the operation runs; that Python's own retries
work (PEP 475) is proved with strace, on real system calls.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from dp_backends.file import _janitor, _publishing
from dp_backends.file._record import FIRST
from dp_backends.file._registry import Sweeper
from dp_backends.file._store import FileStore
from dp_core import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    DurablePromiseError,
    OutcomeUnknownError,
    Pending,
    Rejected,
    Terms,
)
from support.file.crash_setups import (
    OVER,
    dispose_half,
    let_expire,
    litter,
    settle_half,
    value,
)
from support.file.faults import ERRORS, RETRIED, Faults

__all__ = ["OPERATIONS", "matrix"]


_FEW: Final = (errno.EIO, errno.ENOSPC)
"""For what goes the same way as other operations, for the most part."""


Operation = Callable[[FileStore, str], Any]


def _settle(store: FileStore, id: str) -> Any:
    return store.settle(id, value("ours"))


def _reject(store: FileStore, id: str) -> Any:
    return store.settle(id, Rejected("no"))


def _dispose(store: FileStore, id: str) -> Any:
    store.dispose(id)
    return Pending()


def _look(store: FileStore, id: str) -> Any:
    return store.look(id).state


def _open(store: FileStore, id: str) -> Any:
    store.open()
    return store.look(id).state


def _create(store: FileStore, id: str) -> Any:
    store.create(id, Terms(OVER, value("by default")))
    return value("by default")


def _sweep(store: FileStore, id: str) -> Any:
    Sweeper(store).sweep(10)
    return store.look(id).state


def _win(store: FileStore, id: str) -> None:
    store.settle(id, value("theirs"))


def _later(store: FileStore, id: str) -> None:
    _win(store, id)
    store.dispose(id)


@dataclass(frozen=True)
class Case:
    """
    An operation, and what was done before it.

    Attributes:
        run: Does it, and returns the state after it.
        before: Sets up.
        fresh: Whether the store is not there yet.
        cleans: Whether the janitor comes after it.
        errors: The errors with which each call fails.
    """

    run: Operation
    before: Callable[[FileStore, str], object] = lambda store, id: None
    fresh: bool = False
    cleans: bool = False
    errors: tuple[int, ...] = ERRORS


def _half(set_up: Callable[[str, str], object]) -> Callable[[FileStore, str], object]:
    return lambda store, id: set_up(f"file:{store.root}", id.removesuffix("one"))


def _settled_half(store: FileStore, id: str) -> None:
    _win(store, id)
    _half(dispose_half)(store, id)


def _let_expire(store: FileStore, id: str) -> None:
    _half(let_expire)(store, id)


def _littered(store: FileStore, id: str) -> None:
    _later(store, id)
    _half(litter)(store, id)


OPERATIONS: Final[dict[str, Case]] = {
    "open a new store": Case(_open, fresh=True, errors=ERRORS[:2]),
    "resolve": Case(_settle),
    "reject": Case(_reject),
    "lose": Case(_settle, _win),
    "settle after a disposal": Case(_settle, _later),
    "dispose of a pending one": Case(_dispose),
    "dispose of a settled one": Case(_dispose, _win),
    "look at a pending one": Case(_look),
    "look at a settled one": Case(_look, _win),
    "create with a deadline that is over": Case(_create, errors=_FEW),
    "look at what is over": Case(_look, _let_expire, errors=_FEW),
    "sweep": Case(_sweep, _let_expire, errors=_FEW),
    "look and help": Case(_look, _half(settle_half)),
    "lose and help": Case(_settle, _half(settle_half)),
    "help a disposal": Case(_look, _settled_half),
    "settle and clean up": Case(_settle, _littered, cleans=True),
    "dispose and clean up": Case(_dispose, _littered, cleans=True),
}


def matrix(directory: Path, case: Case) -> tuple[int, list[str]]:
    """
    Let every call of an operation fail with every error.

    Args:
        directory: Where the stores go.
        case: The operation.

    Returns:
        The number of failures that were tried, and a sentence for each wrong answer.
    """
    # Lest what others left to be closed hides what is leaked here.
    gc.collect()
    shared = FileStore(str(directory / "shared"))
    shared.open()
    numbers = count()

    def attempt(faults: Faults) -> list[str]:
        number = next(numbers)
        root = str(directory / f"{number}" / "deep") if case.fresh else shared.root
        return list(_attempt(root, f"{number}-one", case, faults))

    plain = Faults()
    wrong = attempt(plain)
    places = [
        place
        for place in range(1, len(plain.calls) + 1)
        if not case.fresh
        or plain.calls[place - 1] not in ("mkdir", "stat")
        or place % 50 < 2
    ]
    tried = 0
    for place in places:
        for error in case.errors:
            if error == errno.EINTR and plain.calls[place - 1] in RETRIED:
                continue
            wrong += attempt(Faults(place, error))
            tried += 1
    return tried, wrong


def _attempt(root: str, id: str, case: Case, faults: Faults) -> Iterator[str]:
    """Do an operation while a call fails, and say what is wrong."""
    # As in a new process: what is doubted takes other calls than the plain run.
    _publishing._DOUBTED.clear()
    if not case.fresh:
        case.before(FileStore(root), id)
    store = FileStore(root)
    known = set(_temporary(root, id))
    open_before = _open_descriptors()
    told = _told(case, store, id, faults)
    inode = _inode(store, id)
    leaked = _open_descriptors() - open_before
    left = set(_temporary(root, id)) - known
    believed: list[str] = []
    if faults.stops and isinstance(told, Exception) and not case.fresh:
        # Before another handle looks.
        believed += _believed(store, id, inode)
    after = FileStore(root).look(id).state
    wrong = [
        *([f"{leaked} descriptors were leaked"] if leaked > 0 else []),
        *_rubbish(left, faults, told),
        *_misled(root, faults, told),
        *_untrue(_expected(case), told, after),
        *_again(store, id, after),
        *believed,
    ]
    where = f"{faults.failed} #{faults.fail_at} {errno.errorcode[faults.error]}"
    return (f"{where}: {what}" for what in wrong)


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _told(case: Case, store: FileStore, id: str, faults: Faults) -> Any:
    """Return the state that the operation told, or the error."""
    often = 1 if case.cleans else 10**9
    with patch.object(_janitor, "_WRITES_PER_CLEANING", often), faults.injected():
        try:
            return case.run(store, id)
        except Exception as error:  # noqa: BLE001 - it is judged by others
            return error


def _rubbish(left: set[str], faults: Faults, told: Any) -> Iterator[str]:
    """Say what temporary names are left that need not be."""
    unknown = isinstance(told, OutcomeUnknownError)
    # Terms stand, whether their deadline's outcome is known or not.
    unknown |= faults.stops and not isinstance(told, Exception)
    if faults.failed != "unlink" and not unknown:
        yield from (f"{name} was left behind" for name in left)


def _untrue(expected: tuple[Any, Any], told: Any, after: Any) -> Iterator[str]:
    """Say where what is there is not what was told."""
    before, done = expected
    if isinstance(told, OutcomeUnknownError):
        allowed = {before, done}
    elif isinstance(told, Exception):
        allowed = {before}
    else:
        allowed = {done}
        if told != done:
            yield f"it returned {told}"
    if after not in allowed:
        yield f"it told {told!r}, but it is {after}"


def _expected(case: Case) -> tuple[Any, Any]:
    """Return the state before and after, by rules of this module's own."""
    before: Any = Pending()
    if case.before is _win:
        before = value("theirs")
    elif case in (OPERATIONS["look and help"], OPERATIONS["lose and help"]):
        before = value("half")
    elif case.before is _let_expire:
        before = value("by default")
    if case.run is _dispose:
        return before, Pending()
    if case.run is _create:
        return before, value("by default")
    if before == Pending() and case.run is _settle:
        return before, value("ours")
    if before == Pending() and case.run is _reject:
        return before, Rejected("no")
    return before, before


def _temporary(root: str, id: str) -> list[str]:
    """Return the temporary names of a promise."""
    place = FileStore(root).place(id)
    return [path.name for path in Path(place.shard).glob(f".t-{place.name}*")]


def _misled(root: str, faults: Faults, told: Any) -> Iterator[str]:
    """Say what is wrong with what the caller was told, by itself."""
    if not isinstance(told, Exception):
        # What may not be fsynced was not made by us.
        lost = faults.failed in {"write", "fsync"} and faults.error != errno.EACCES
        if lost and not faults.durable:
            yield "false acknowledgement: nothing is durable"
        return
    if not isinstance(told, BackendError):
        yield f"raw {type(told).__name__}: {told}"
        return
    if root not in str(told):
        yield f"does not name the store: {told}"
    # A directory in which files can be made, and a link cannot, has no hard links.
    denied = faults.error == errno.EACCES and faults.failed != "link"
    kinds: tuple[type[DurablePromiseError], ...] = (
        (AccessDeniedError,) if denied else (BackendUnavailableError,)
    )
    if faults.failed == "fsync":
        kinds = (BackendUnavailableError, OutcomeUnknownError, *kinds)
    if not isinstance(told, kinds):
        yield f"raised {type(told).__name__}: {told}"


def _inode(store: FileStore, id: str) -> int | None:
    """Return the inode number of the promise's first outcome."""
    with suppress(FileNotFoundError):
        return os.stat(store.place(id).outcome(FIRST)).st_ino
    return None


def _believed(store: FileStore, id: str, inode: int | None) -> Iterator[str]:
    """
    Say where a handle believes what it saw fail.

    A look answers again; but a name that may be lost although the next fsync says
    otherwise is not shown before it was written anew.
    """
    place = store.place(id)
    path = Path(place.outcome(FIRST))
    in_doubt = path.exists() and path.stat().st_nlink > 1
    try:
        shown = store.look(id)
    except BackendError as error:
        yield f"the handle does not go on: {error}"
        return
    if in_doubt and shown.generation == FIRST and _inode(store, id) == inode:
        yield "it was believed without being written anew"


def _again(store: FileStore, id: str, state: Any) -> Iterator[str]:
    """Say what is wrong with the next settle, and the looks of others after it."""
    expected = value("again") if state == Pending() else state
    others = FileStore(store.root)
    told = store.settle(id, value("again"))
    if told != expected or others.look(id).state != expected:
        yield f"{state} became {told}"
