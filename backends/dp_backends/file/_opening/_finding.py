"""
`find_store`: whether there is a store at a path, and of a format that we read.

``FORMAT`` is published last, so a directory without it is a store that was begun, if it
has ``p``, and else none. Who only reads makes nothing.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from dp_backends._system import is_remote
from dp_backends.file._files import explained, read_file
from dp_backends.file._layout import SHARDS, FileName, Kind
from dp_backends.file._opening._owners import check_ours, let_us_in
from dp_backends.file._publishing import Durability
from dp_backends.file._record import FORMATS
from dp_core import BackendUnavailableError

__all__ = [
    "FORMAT_FILE",
    "Opened",
    "check_foreign",
    "find_store",
    "format_of",
    "format_text",
    "opened",
]

FORMAT_FILE: Final = "FORMAT"
"""The name of the file by which a directory says that it is a whole store."""


def format_text(form: int) -> bytes:
    """Return the content of that file for a store of a format."""
    return b'{"format": %d}\n' % form


# What systems put into directories by themselves.
_HARMLESS: Final = frozenset({"lost+found", ".DS_Store", ".snapshot"})


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """
    A store as it was found when it was opened.

    Attributes:
        identity: The device and inode number of its directory.
        owned: The mode and the owner of its directory.
        is_remote: Whether other machines may change it.
        failures: `Durability.failures` at that time.
        shards: What `make_whole` has returned; None before that.
        takes_terms: Whether it is known to say, durably, that it has terms.
    """

    identity: tuple[int, int]
    owned: tuple[int, int]
    is_remote: bool
    failures: int
    shards: tuple[int, int] | None = None
    takes_terms: bool = False


def find_store(root: str, durability: Durability) -> Opened | None:
    """
    Return the store at *root*, whole or not; None if there is none.

    Raises:
        AccessDeniedError: It belongs to somebody else.
        BackendUnavailableError: It is something else, or of a newer format.
    """
    with explained(f"open the store {root}"):
        try:
            status = os.stat(root)
        except FileNotFoundError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise BackendUnavailableError(
                f"{root} is not a directory, and so no store; name another path, or, "
                "for an SQLite database, write sqlite: in place of file:"
            )
        let_us_in(root, status)
        if format_of(root) is None:
            check_foreign(root)
            if not os.path.lexists(f"{root}/p"):
                return None
        check_ours(root)
        return opened(root, durability)


def opened(root: str, durability: Durability) -> Opened:
    """Return the store at *root* as it is now."""
    status = os.stat(root)
    return Opened(
        (status.st_dev, status.st_ino),
        (status.st_mode, status.st_uid),
        is_remote(status),
        durability.failures,
    )


def format_of(root: str) -> int | None:
    """
    Return the format of the store at *root*; None where there is none that is whole.

    Raises:
        BackendUnavailableError: It is of another format.
    """
    content = read_file(f"{root}/{FORMAT_FILE}")
    if content is None:
        return None
    try:
        form = json.loads(content[0])["format"]
    except (ValueError, TypeError, KeyError):
        raise BackendUnavailableError(
            f"the file {root}/{FORMAT_FILE} is damaged; if this is a store of "
            f"promises, write into it: {format_text(FORMATS[-1]).decode().strip()}"
        ) from None
    if form not in FORMATS:
        raise BackendUnavailableError(
            f"the store {root} has format {form}, and this version reads {FORMATS[0]} "
            f"to {FORMATS[-1]}; upgrade durable-promises, or name another directory"
        )
    return int(form)


def check_foreign(root: str) -> None:
    """Refuse to move into a directory in which something else lives."""
    foreign = [
        name
        for name in os.listdir(root)
        if name not in {"p", "due", FORMAT_FILE}
        and not _is_harmless(name)
        and FileName.of(name).kind is not Kind.TEMPORARY
    ]
    # A directory of that name may be anybody's.
    with suppress(FileNotFoundError, NotADirectoryError):
        foreign += [
            f"p/{name}"
            for name in os.listdir(f"{root}/p")
            if name not in SHARDS and not _is_harmless(name)
        ]
    if foreign:
        raise BackendUnavailableError(
            f"{root} is not a store and not empty (it has {min(foreign)!r}); "
            "name a directory of its own"
        )


def _is_harmless(name: str) -> bool:
    return name in _HARMLESS or name.startswith(".nfs")
