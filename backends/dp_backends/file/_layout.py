"""
`Place` and `read_name`: the layout of a store's directory.

::

    promises/                0700, of this user
        FORMAT               published last: the store is complete
        p/00/ … p/ff/        shards, by the first two digits of a name
            <name>.json               the first generation's outcome
            <name>.head.json          names the current generation, if another
            <name>.<generation>.json  a later generation's outcome
            .t-<name>-<nonce>         being written, or not known durable yet

*name* is the SHA-256 of the id's UTF-8: no id can leave the directory, be too
long for a file name, or meet another one on a file system that folds case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, final

from dp_backends.file._record import FIRST

__all__ = [
    "FOREIGN",
    "GRACE",
    "HEAD",
    "SHARDS",
    "TEMPORARY",
    "Place",
    "PromiseFiles",
    "read_name",
    "shard_path",
]

TEMPORARY: Final = ".t-"
"""The beginning of all names of temporary files; as a kind, for `read_name`."""

HEAD: Final = "head"
"""The kind, for `read_name`, of the file that names the current generation."""

FOREIGN: Final = ""
"""The kind, for `read_name`, of a file that is not part of a store."""

GRACE: Final = 3600.0
"""
Seconds for which a process may stand still within one operation.

Temporary files, and the names of dead outcomes, are removed only after this.
"""

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
"""The names of the directories that promises are spread over."""

_FILE: Final = re.compile(
    rf"(?P<name>[0-9a-f]{{64}})(?:\.(?P<what>{HEAD}|[0-9a-f]{{32}}))?\.json"
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
        middle = "" if generation == FIRST else f".{generation}"
        return f"{self.shard}/{self.name}{middle}.json"

    def temporary(self, nonce: str) -> str:
        return f"{self.shard}/{TEMPORARY}{self.name}-{nonce}"


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


def shard_path(root: str, shard: str) -> str:
    """Return the path of one of the `SHARDS`."""
    return f"{root}/p/{shard}"


def read_name(file: str) -> tuple[str, str]:
    """
    Return the promise that a file belongs to, and its kind.

    Returns:
        The promise's *name*, and `HEAD`, `TEMPORARY`, `FOREIGN` or the
        generation whose outcome the file is.
    """
    if match := _TEMPORARY_FILE.fullmatch(file):
        return match["name"] or "", TEMPORARY
    match = _FILE.fullmatch(file)
    if match is None:
        return file, FOREIGN
    return match["name"], match["what"] or FIRST
