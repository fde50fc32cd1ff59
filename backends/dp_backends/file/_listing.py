"""
Which promises there are: of no use on the way to one, and all there is to a copy.

They come in the order of their names, which are hashes of their ids. So one can
go on after an id whatever has come and gone since.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from dp_backends.file._files import read_file
from dp_backends.file._layout import TEMPORARY, Place, read_name
from dp_backends.file._record import FIRST, Record

__all__ = ["ids_after"]


def ids_after(root: str, after: str | None) -> Iterator[str]:
    """
    Return the ids that have been settled or disposed of, from one on.

    Raises:
        CorruptPromiseError: The file that has an id in it is damaged.
        OSError: The store could not be read.
    """
    done = "" if after is None else Place.of(root, after).name
    for shard in sorted(os.listdir(f"{root}/p")):
        if shard < done[:2]:
            continue
        files = map(read_name, os.listdir(f"{root}/p/{shard}"))
        for name in sorted({name for name, what in files if what != TEMPORARY}):
            if name > done and (id := _id(Place(f"{root}/p/{shard}", name))):
                yield id


def _id(place: Place) -> str | None:
    # A head is never removed, and without one the first outcome is not either.
    for path in (place.head, place.outcome(FIRST)):
        if content := read_file(path):
            return Record.from_bytes(content[0], path).id
    return None
