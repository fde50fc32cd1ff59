"""
`places_after`: the promises in a store. Only ``dp copy`` needs this.

They come in the order of their names, which are hashes of their ids. So a listing
can go on after an id whatever has come and gone since.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Final

from dp_backends.file._files import read_file
from dp_backends.file._layout import (
    FOREIGN,
    SHARDS,
    TEMPORARY,
    Place,
    PromiseFiles,
    read_name,
    shard_path,
)
from dp_backends.file._record import FIRST, Record
from dp_core import BackendError

__all__ = ["places_after"]


def places_after(root: str, after: str | None) -> Iterator[Place]:
    """
    Yield the places of promises that were settled or disposed of.

    Args:
        root: The store's directory.
        after: The id after which to begin, or that of a place without one; None for
            the first.

    Yields:
        Places; where the file that has the id in it is damaged beyond reading, the
        place's id is a NUL and its name.

    Raises:
        OSError: The store could not be read.
    """
    done = _name(root, after)
    for shard in SHARDS:
        if shard < done[:2]:
            continue
        path = shard_path(root, shard)
        try:
            found = list(map(read_name, os.listdir(path)))
        except FileNotFoundError:
            # Nothing is in a shard that is missing.
            continue
        for name in sorted({n for n, what in found if what not in _NOT_LISTED}):
            if name > done and (id := _id(PromiseFiles(path, name))):
                yield Place(path, name, id)


_NOT_LISTED: Final = frozenset({TEMPORARY, FOREIGN})


def _name(root: str, after: str | None) -> str:
    if after is None:
        return ""
    return after[1:] if after.startswith(_UNKNOWN) else Place.of(root, after).name


_UNKNOWN: Final = "\0"
"""No id contains it."""

_ID: Final = re.compile(rb'^"id": ("[^\n]*"),$', re.MULTILINE)


def _id(files: PromiseFiles) -> str | None:
    # A head is never removed, and without one the first outcome is not either.
    for path in (files.head, files.outcome(FIRST)):
        try:
            content = read_file(path)
        except BackendError:
            return _UNKNOWN + files.name
        if content:
            try:
                return Record.from_bytes(content[0], path).id
            except BackendError:
                return _salvaged(files.name, content[0])
    return None


def _salvaged(name: str, content: bytes) -> str:
    """Return the id in a damaged record, if the hash in its name proves it."""
    for found in _ID.finditer(content):
        with suppress(ValueError):
            id = json.loads(found[1])
            if sha256(id.encode()).hexdigest() == name:
                return str(id)
    return _UNKNOWN + name
