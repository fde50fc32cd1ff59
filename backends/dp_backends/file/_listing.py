"""
`places_after`: the promises in a store. Only ``dp copy`` needs this.

They come in the order of their names, which are hashes of their ids. So a listing
can go on after an id whatever has come and gone since.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from dp_backends.file._files import read_file
from dp_backends.file._layout import (
    SHARDS,
    TEMPORARY,
    Place,
    PromiseFiles,
    read_name,
    shard_path,
)
from dp_backends.file._record import FIRST, Record

__all__ = ["places_after"]


def places_after(root: str, after: str | None) -> Iterator[Place]:
    """
    Yield the places of promises that were settled or disposed of.

    Args:
        root: The store's directory.
        after: The id after which to begin; None for the first.

    Raises:
        CorruptPromiseError: The file that has an id in it is damaged.
        OSError: The store could not be read.
    """
    done = "" if after is None else Place.of(root, after).name
    for shard in SHARDS:
        if shard < done[:2]:
            continue
        path = shard_path(root, shard)
        found = map(read_name, os.listdir(path))
        for name in sorted({name for name, what in found if what != TEMPORARY}):
            if name > done and (id := _id(PromiseFiles(path, name))):
                yield Place(path, name, id)


def _id(files: PromiseFiles) -> str | None:
    # A head is never removed, and without one the first outcome is not either.
    for path in (files.head, files.outcome(FIRST)):
        if content := read_file(path):
            return Record.from_bytes(content[0], path).id
    return None
