"""
`Place` and `FileName`: the layout of a store's directory.

::

    promises/                0700, of this user
        FORMAT               published last: the store is complete
        p/00/ … p/ff/        shards, by the first two digits of a name
            <name>.json               the first generation's outcome
            <name>.terms.json         the first generation's terms
            <name>.head.json          names the current generation, if another
            <name>.<generation>.json  a later generation's outcome
            <name>.<generation>.terms.json
            .t-<name>-<nonce>         being written, or not known durable yet
        due/<hour>/          markers of what has its deadline in an hour, in UTC
            <name>                    of the first generation, empty
            <name>.<generation>       of a later one

*name* is the SHA-256 of the id's UTF-8: no id can leave the directory, be too
long for a file name, or meet another one on a file system that folds case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import lru_cache
from hashlib import sha256
from typing import Final, final

from dp_backends.file._record import FIRST

__all__ = [
    "DUE",
    "GRACE",
    "SHARDS",
    "TEMPORARY",
    "FileName",
    "Kind",
    "Place",
    "PromiseFiles",
    "due_path",
    "hour_of",
    "is_hour",
    "shard_path",
    "temporary_path",
]

DUE: Final = "due"
"""The name of the directory with the markers of deadlines."""

TEMPORARY: Final = ".t-"
"""The beginning of all names of temporary files."""

GRACE: Final = 3600.0
"""
Seconds for which a process may stand still within one operation.

Temporary files, and the names of dead outcomes, are removed only after this.
"""

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
"""The names of the directories that promises are spread over."""


@final
class Kind(Enum):
    """Kinds of the files of a store, by their names."""

    OUTCOME = auto()
    TERMS = auto()
    HEAD = auto()
    TEMPORARY = auto()
    FOREIGN = auto()


@final
@dataclass(frozen=True, slots=True)
class FileName:
    """
    Meaning of the name of a file.

    Attributes:
        kind: What it is.
        name: The promise that it belongs to; "" where it belongs to none.
        generation: The generation whose outcome or terms it is; else "".
    """

    kind: Kind
    name: str = ""
    generation: str = ""

    @classmethod
    def of(cls, file: str) -> FileName:
        if match := _RECORD.fullmatch(file):
            if match["head"]:
                return cls(Kind.HEAD, match["name"])
            kind = Kind.TERMS if match["terms"] else Kind.OUTCOME
            return cls(kind, match["name"], match["generation"] or FIRST)
        if match := _TEMPORARY_FILE.fullmatch(file):
            return cls(Kind.TEMPORARY, match["name"] or "")
        return cls(Kind.FOREIGN)


_RECORD: Final = re.compile(
    r"(?P<name>[0-9a-f]{64})"
    r"(?:(?P<head>\.head)|(?:\.(?P<generation>[0-9a-f]{32}))?(?P<terms>\.terms)?)\.json"
)

# A mark, a file that is being written, or an orphan that the janitor has taken.
_TEMPORARY_FILE: Final = re.compile(
    rf"{re.escape(TEMPORARY)}(?:(?P<name>[0-9a-f]{{64}})-)?[0-9a-f]{{32}}(?:\.two)?"
)


@dataclass(frozen=True, slots=True)
class PromiseFiles:
    """
    The names of the files of one promise.

    Attributes:
        shard: The directory they are all in.
        name: The part that their names have in common.
    """

    shard: str
    name: str

    @property
    def head(self) -> str:
        return f"{self.shard}/{self.name}.head.json"

    def outcome(self, generation: str) -> str:
        return f"{self.shard}/{self.stem(generation)}.json"

    def terms(self, generation: str) -> str:
        return f"{self.shard}/{self.stem(generation)}.terms.json"

    def temporary(self, nonce: str) -> str:
        return f"{self.shard}/{TEMPORARY}{self.name}-{nonce}"

    def stem(self, generation: str) -> str:
        """Return what the names of a generation's files begin with."""
        return self.name if generation == FIRST else f"{self.name}.{generation}"


@final
@dataclass(frozen=True, slots=True)
class Place(PromiseFiles):
    """
    The files of the promise with a certain id.

    Attributes:
        id: The id whose hash the name is.
    """

    id: str

    @classmethod
    def of(cls, root: str, id: str) -> Place:
        name = sha256(id.encode()).hexdigest()
        return cls(shard_path(root, name[:2]), name, id)


# The same text for all promises in it, of which many may be waited for.
@lru_cache(maxsize=4096)
def shard_path(root: str, shard: str) -> str:
    """Return the path of one of the `SHARDS`."""
    return f"{root}/p/{shard}"


def hour_of(moment: datetime) -> str:
    """Return the name of an hour, in UTC: ``2026-11-26T14``. They sort by time."""
    return moment.astimezone(UTC).isoformat()[:13]


def is_hour(name: str) -> bool:
    """Tell whether a name is one of `hour_of`."""
    return _HOUR.fullmatch(name) is not None


_HOUR: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}")


def due_path(root: str, hour: str) -> str:
    """Return the path of the directory with the markers of an hour."""
    return f"{root}/{DUE}/{hour}"


def temporary_path(directory: str, nonce: str) -> str:
    """Return the path of a temporary file that belongs to no promise."""
    return f"{directory}/{TEMPORARY}{nonce}"
