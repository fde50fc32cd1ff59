"""Set-ups that only the code of the file store can make, and scenarios with them."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from dp_backends._system import fsync_directory
from dp_backends.file._files import write_new_file
from dp_backends.file._layout import GRACE
from dp_backends.file._publishing import Durability
from dp_backends.file._record import FIRST, Record
from dp_backends.file._store import FileStore
from dp_core import Outcome, Resolved, Terms
from dp_core.backend import now
from dp_core.testing.crash import Scenario, Step
from support.core.program import UNMEASURED
from support.paths import TESTS

CHILD: Final = (sys.executable, "-m", "support.file.child")
ENVIRONMENT: Final = {"PYTHONPATH": str(TESTS)} | UNMEASURED


OVER: Final = datetime(2001, 2, 3, tzinfo=UTC)
"""A deadline that is over."""


def value(text: str) -> Resolved[bytes]:
    """Return an outcome as a backend gets it."""
    return Resolved(json.dumps(text).encode())


def root_of(url: str) -> str:
    """Return the directory of a ``file:`` URL."""
    return url.removeprefix("file:")


class Dying(FileStore):
    """
    A handle whose process dies when its directory is to be made durable.

    Its records can be read, and have a second name that says that they are not
    known to be durable.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.durability = _DyingDisk()

    def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        """Settle, but for the end of it."""
        with suppress(_KilledError):
            super().settle(id, outcome)
        return outcome

    def dispose(self, id: str) -> None:
        """Dispose, but for the end of it."""
        with suppress(_KilledError):
            super().dispose(id)


class _DyingDisk(Durability):
    def fsync_names(self, directory: str) -> None:
        # Not that of the shards, which comes before anything is visible.
        fsync_directory(directory)

    def fsync_opened(self, fd: int) -> None:
        raise _KilledError


class _KilledError(BaseException):
    """The end of the process: no error that the store could handle."""


def settle_half(url: str, prefix: str) -> None:
    """Leave a value that can be read, and is not known to be durable."""
    Dying(root_of(url)).settle(f"{prefix}one", value("half"))


def dispose_half(url: str, prefix: str) -> None:
    """Leave a disposal that can be read, and is not known to be durable."""
    Dying(root_of(url)).dispose(f"{prefix}one")


def litter(url: str, prefix: str) -> None:
    """
    Leave what a janitor finds after crashes long ago, in the shards of two ids.

    There are an orphan nobody refers to; a dead outcome with its content; the
    erased name of another one; and, for the second id, an orphan that marks a
    value as not known to be durable.
    """
    store = Dying(root_of(url))
    one, two = (store.place(f"{prefix}{name}") for name in ("one", "two"))
    dead = Record.new(f"{prefix}one", FIRST, value("dead"))
    orphan = Path(one.temporary("0" * 32))
    orphan.write_bytes(b"half a rec")
    Path(one.outcome(FIRST)).write_bytes(dead.to_bytes())
    erased = Path(one.outcome("f" * 32))
    erased.touch()
    store.settle(f"{prefix}two", value("half"))
    then = time.time() - 2 * GRACE
    for path in (orphan, erased, *Path(two.shard).glob(f".t-{two.name}-*")):
        os.utime(path, (then, then))


def old_format(url: str, prefix: str) -> None:
    """Let a store be one that has no terms yet, and says so."""
    FileStore(root_of(url)).open()
    new = Path(root_of(url), f".t-{'0' * 32}")
    write_new_file(str(new), b'{"format": 1}\n')
    new.replace(Path(root_of(url), "FORMAT"))
    fsync_directory(root_of(url))


def let_expire(url: str, prefix: str) -> None:
    """Leave a promise whose deadline is over, and that nobody has looked at since."""
    store, id = FileStore(root_of(url)), f"{prefix}one"
    store.open()
    # Not by a clock that is moved: others wait meanwhile, in this process.
    created = now() - timedelta(hours=3)
    terms = Terms(created + timedelta(hours=1), value("by default"))
    record = Record.new(id, FIRST, terms).dated(created, "")
    assert store._publish(store.place(id), record)
    Path(store.place(id).temporary(record.nonce)).unlink()


_WIN: Final = Step("resolve", value="the first")
_AGAIN: Final = Step("resolve", value="the second")
_LATE: Final = Step("resolve", value="too late")
_PEEK: Final = Step("peek")
_DISPOSE: Final = Step("dispose")

FILE_SCENARIOS: Final = (
    Scenario(
        "read and help",
        (_PEEK, _PEEK),
        prepare=settle_half,
        begun=(Step("resolve", value="half"),),
    ),
    Scenario(
        "lose and help",
        (_LATE, _PEEK),
        prepare=settle_half,
        begun=(Step("resolve", value="half"),),
    ),
    Scenario(
        "help a disposal",
        (_PEEK, _AGAIN, _PEEK),
        before=(_WIN,),
        prepare=dispose_half,
        begun=(_DISPOSE,),
    ),
    Scenario(
        "dispose and help",
        (_DISPOSE, _PEEK),
        prepare=settle_half,
        begun=(Step("resolve", value="half"),),
    ),
    Scenario(
        "clean up",
        # The second one first: the fsyncs for the first would save it on ext4.
        (
            Step("clean", "two"),
            Step("peek", "two"),
            Step("clean"),
            _PEEK,
        ),
        before=(_WIN, _DISPOSE, _AGAIN),
        prepare=litter,
        begun=(Step("resolve", "two", "half"),),
    ),
    Scenario(
        "create in a store of format 1",
        (Step("expire", value="by default"), _PEEK),
        prepare=old_format,
    ),
    Scenario(
        "settle what is over",
        (_LATE, _PEEK),
        prepare=let_expire,
        done=(Step("expire", value="by default"),),
    ),
    Scenario(
        "sweep",
        (Step("sweep"), _PEEK),
        prepare=let_expire,
        done=(Step("expire", value="by default"),),
    ),
)
