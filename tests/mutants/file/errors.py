"""Mutants of errors and damage: failing calls, short writes, broken records."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from hashlib import sha256
from typing import Final

from dp_backends.file import _files, _publishing, _store
from dp_backends.file._files import Content
from dp_backends.file._layout import Place
from dp_backends.file._publishing import Durability
from dp_backends.file._reading import PromiseReader, View
from dp_backends.file._record import Record
from dp_backends.file._store import FileStore
from dp_core import (
    BackendUnavailableError,
    CorruptPromiseError,
    OutcomeUnknownError,
    Pending,
)
from mutants.changes import Change
from mutants.file.protocol import everywhere, nothing
from mutants.file.registry import mutant

_look_once: Final = FileStore._look_once
_publish: Final = _publishing.publish
_view_of: Final = PromiseReader._view_of
_from_bytes: Final = Record.from_bytes


@mutant(seen="most of the systems in Rebello et al., USENIX ATC 2020")
def fsync_errors_ignored() -> list[Change]:
    """An fsync that failed counts as done."""

    def fsync(fd: int) -> None:
        with suppress(OSError):
            os.fsync(fd)

    return everywhere("fsync", fsync)


@mutant(seen='PostgreSQL until 2018 ("fsyncgate")')
def fsync_retried() -> list[Change]:
    """A failed fsync is repeated, and the second one reports success."""

    def fsync(fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            os.fsync(fd)

    return everywhere("fsync", fsync)


@mutant(seen="PostgreSQL until 2018: checkpoints went on after a failed fsync")
def goes_on_after_failed_fsync() -> list[Change]:
    """What a handle saw fail to reach the disk is believed once an fsync succeeds."""

    def fsync_opened(self: Durability, fd: int) -> None:
        _files.fsync(fd)

    return [(Durability, "fsync_opened", fsync_opened)]


@mutant(
    seen="this project's file store, and servers over it, until a law said otherwise"
)
def stops_for_ever() -> list[Change]:
    """A handle whose disk has failed once refuses every call from then on."""

    def look(self: FileStore, place: Place, *, whole: bool) -> View:
        if self.durability.failures:
            raise BackendUnavailableError("the disk failed; open the store anew")
        return _look_once(self, place, whole=whole)

    return [(FileStore, "_look_once", look)]


@mutant(seen="programs that take write(2) for all or nothing")
def short_writes_ignored() -> list[Change]:
    """A write that took less than it was given counts as done."""

    def write_new_file(path: str, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)

    return everywhere("write_new_file", write_new_file)


@mutant(seen="clients that report a lost answer as a failed call")
def unknown_is_called_untouched() -> list[Change]:
    """An error after the effect says that nothing was changed."""

    def publish(disk: Durability, root: str, place: Place, record: Record) -> bool:
        try:
            return _publish(disk, root, place, record)
        except OutcomeUnknownError as error:
            raise BackendUnavailableError(str(error)) from error

    return [(_store, "publish", publish)]


@mutant(seen="programs that fill /tmp")
def rubbish_left_behind() -> list[Change]:
    """Temporary files of failed calls are not removed."""
    return everywhere("remove", nothing)


@mutant(seen="error paths that forget to close (CWE-775)")
def descriptors_leaked() -> list[Change]:
    """A failed read leaves its descriptor open."""

    def read_file(path: str) -> Content | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        status = os.fstat(fd)
        data = os.read(fd, status.st_size)
        os.close(fd)
        return data, status.st_nlink

    return everywhere("read_file", read_file)


@mutant(seen="libraries that let errors of the standard library through")
def raw_os_errors() -> list[Change]:
    """The caller gets an OSError."""
    return everywhere("explained", nullcontext)


# Damage ---------------------------------------------------------------------


@mutant(seen="stores that treat an unreadable file as a missing one")
def damage_is_pending() -> list[Change]:
    """A record that cannot be read is taken for one that is not there."""

    def view_of(
        self: PromiseReader, place: Place, generation: str, *, whole: bool
    ) -> View | None:
        try:
            return _view_of(self, place, generation, whole=whole)
        except CorruptPromiseError:
            return View(generation, Pending())

    return [(PromiseReader, "_view_of", view_of)]


@mutant(seen="stores that trust any file that parses")
def checksum_ignored() -> list[Change]:
    """A record is believed because it is JSON."""

    def from_bytes(data: bytes, path: str) -> Record:
        body = data.rpartition(b',\n"sha256"')[0]
        tail = b',\n"sha256": "%b"\n}\n' % sha256(body).hexdigest().encode()
        return _from_bytes(body + tail, path)

    return [(Record, "from_bytes", staticmethod(from_bytes))]
