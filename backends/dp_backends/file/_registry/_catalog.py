"""
`catalog`: the promises in a directory, by when they were first heard of.

A file system has no index, so this reads a record of each promise. The time of a
generation stays the same: it is that of its terms' record, and a create that finds the
promise settled takes over the time of the outcome.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias, final

from dp_backends.file._files import read_file
from dp_backends.file._layout import (
    SHARDS,
    FileName,
    Kind,
    PromiseFiles,
    shard_path,
)
from dp_backends.file._reading import misplaced
from dp_backends.file._record import FIRST, Record
from dp_core import BackendError, CorruptPromiseError, InvalidQueryError, Query

__all__ = ["Catalog", "Position", "catalog", "cursor_of", "position_of"]


class Position(NamedTuple):
    """
    A place in the order of a store.

    Attributes:
        microseconds: When the generation was first heard of, since 1970.
        name: The promise's name, which decides between equal times.
    """

    microseconds: int
    name: str


Entry: TypeAlias = tuple[Position, str, str]


@final
@dataclass(frozen=True, slots=True)
class Catalog:
    """
    The promises of a store at one time, in their order.

    Attributes:
        entries: Their positions, ids, and generations.
        failures: Those that cannot be read, as `dp_core.backend.Page` has them.
    """

    entries: list[Entry]
    failures: list[tuple[str, BackendError]]

    def after(self, place: Position | None, *, newest: bool) -> range:
        """Return the indices of what follows a place, in the order to list it in."""
        if newest:
            end = len(self.entries)
            if place is not None:
                end = bisect_left(self.entries, place, key=_position)
            return range(end - 1, -1, -1)
        begin = 0
        if place is not None:
            begin = bisect_right(self.entries, place, key=_position)
        return range(begin, len(self.entries))


def _position(entry: Entry) -> Position:
    return entry[0]


def catalog(root: str, query: Query) -> Catalog:
    """
    Return the promises of a store whose ids a query may find.

    Raises:
        OSError: The store could not be read.
    """
    entries: list[Entry] = []
    failures: list[tuple[str, BackendError]] = []
    for files, records, has_head in _promises(root):
        try:
            record = _first_record(files, records, has_head=has_head)
            if record is not None and query.matches_id(record.id):
                position = _position_of(files.name, record)
                entries.append((position, record.id, record.generation))
        except BackendError as error:
            id = _salvaged(files, records)
            if query.matches_id(id):
                failures.append((id or files.name, error.with_traceback(None)))
    entries.sort()
    return Catalog(entries, failures)


_Records = set[tuple[Kind, str]]


def _promises(root: str) -> Iterator[tuple[PromiseFiles, _Records, bool]]:
    """Yield each promise with the kinds and generations of its records."""
    for shard in SHARDS:
        path = shard_path(root, shard)
        found: defaultdict[str, _Records] = defaultdict(set)
        # Nothing is in a shard that is missing.
        with suppress(FileNotFoundError):
            for entry in os.listdir(path):
                file = FileName.of(entry)
                found[file.name].add((file.kind, file.generation))
        for name, records in found.items():
            records -= {r for r in records if r[0] in (Kind.TEMPORARY, Kind.FOREIGN)}
            if records:
                has_head = (Kind.HEAD, "") in records
                yield PromiseFiles(path, name), records, has_head


def _first_record(
    files: PromiseFiles, records: _Records, *, has_head: bool
) -> Record | None:
    """Return the record that places a promise; None if it was disposed of."""
    head = _read(files, files.head) if has_head else None
    generation = FIRST if head is None else head.nonce
    try:
        if (Kind.TERMS, generation) in records:
            return _read(files, files.terms(generation))
        if (Kind.OUTCOME, generation) in records:
            return _read(files, files.outcome(generation))
    except CorruptPromiseError:
        # Erased, if the generation has ended meanwhile.
        if _generation(files) == generation:
            raise
    return None


def _generation(files: PromiseFiles) -> str:
    head = _read(files, files.head)
    return FIRST if head is None else head.nonce


def _read(files: PromiseFiles, path: str) -> Record | None:
    content = read_file(path)
    if content is None:
        return None
    record = Record.from_bytes(content[0], path)
    if sha256(record.id.encode()).hexdigest() != files.name:
        raise misplaced(path)
    return record


def _salvaged(files: PromiseFiles, records: _Records) -> str:
    """Return the id in a damaged record if the hash in its name proves it; else ""."""
    generations = {generation for _, generation in records if generation}
    paths = [files.head]
    for generation in sorted(generations):
        paths += [files.terms(generation), files.outcome(generation)]
    for path in paths:
        with suppress(BackendError, OSError):
            content = read_file(path)
            for found in _ID.finditer(content[0] if content else b""):
                with suppress(ValueError):
                    id = json.loads(found[1])
                    if sha256(id.encode()).hexdigest() == files.name:
                        return str(id)
    return ""


_ID: Final = re.compile(rb'^"id": ("[^\n]*"),$', re.MULTILINE)


# Positions ----------------------------------------------------------------------


def _position_of(name: str, record: Record) -> Position:
    return Position(_microseconds(record.heard_at()), name)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def cursor_of(name: str, record: Record) -> str:
    """Return the cursor of the promise that a record places."""
    return "{}.{}".format(*_position_of(name, record))


def position_of(cursor: str) -> Position:
    """
    Return the place that a cursor names.

    Raises:
        InvalidQueryError: This store has not made it.
    """
    if match := _CURSOR.fullmatch(cursor):
        return Position(int(match[1]), match[2])
    raise InvalidQueryError(f"{cursor[:100]!r} is not a cursor of this store")


_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})\.([0-9a-f]{64})")
