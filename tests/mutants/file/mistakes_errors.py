"""Mistakes with errors and damage; see `mutants.file.registry`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, Final

from dp_backends.file import _files
from dp_backends.file._files import Content
from dp_backends.file._layout import Place
from dp_backends.file._record import Record
from dp_backends.file._store import FileStore
from dp_core import (
    BackendUnavailableError,
    CorruptPromiseError,
    OutcomeUnknownError,
    Pending,
)
from mutants.file.mistakes import ORIGINAL, Change, everywhere, nothing

__all__ = ["MISTAKES"]


def fsync_errors_ignored() -> list[Change]:
    """Rebello et al. 2020 found it in most of what they looked at."""

    def fsync(fd: int) -> None:
        with suppress(OSError):
            os.fsync(fd)

    return everywhere("fsync", fsync)


def fsync_retried() -> list[Change]:
    """PostgreSQL until 2018 ("fsyncgate"): the second fsync says all is well."""

    def fsync(fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            os.fsync(fd)

    return everywhere("fsync", fsync)


def goes_on_after_failed_fsync() -> list[Change]:
    """A handle whose disk has failed is used as if nothing had happened."""

    def fsync_directory(self: FileStore, fd: int) -> None:
        _files.fsync(fd)

    return [(FileStore, "_fsync_directory", fsync_directory)]


def short_writes_ignored() -> list[Change]:
    """write(2) may write less than it was given."""

    def write_new_file(path: str, data: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)

    return everywhere("write_new_file", write_new_file)


def unknown_is_called_untouched() -> list[Change]:
    """An error after the effect that says "nothing was done"."""

    def publish(self: FileStore, *args: Any) -> bool:
        try:
            done: bool = ORIGINAL["_publish"](self, *args)
        except OutcomeUnknownError as error:
            raise BackendUnavailableError(str(error)) from error
        return done

    return [(FileStore, "_publish", publish)]


def rubbish_left_behind() -> list[Change]:
    """What could not be completed is not cleared away."""
    return everywhere("remove", nothing)


def descriptors_leaked() -> list[Change]:
    """The error path forgets to close."""

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


def raw_os_errors() -> list[Change]:
    """The caller gets a traceback of the standard library."""

    @contextmanager
    def explained(doing: str) -> Iterator[None]:
        yield

    return everywhere("explained", explained)


# Damage ---------------------------------------------------------------------


def damage_is_pending() -> list[Change]:
    """What cannot be read is taken for what is not there."""

    def state(self: FileStore, place: Place, generation: str, id: str) -> Any:
        try:
            return _original_state(self, place, generation, id)
        except CorruptPromiseError:
            return Pending()

    return [(FileStore, "_state", state)]


_original_state: Final = FileStore._state


def checksum_ignored() -> list[Change]:
    """It is JSON, so it must be right."""

    def from_bytes(data: bytes, path: str) -> Record:
        body = data.rpartition(b',\n"sha256"')[0]
        tail = b',\n"sha256": "%b"\n}\n' % sha256(body).hexdigest().encode()
        return _original_from_bytes(body + tail, path)

    return [(Record, "from_bytes", staticmethod(from_bytes))]


_original_from_bytes: Final = Record.from_bytes

MISTAKES: Final = (
    fsync_errors_ignored,
    fsync_retried,
    goes_on_after_failed_fsync,
    short_writes_ignored,
    unknown_is_called_untouched,
    rubbish_left_behind,
    descriptors_leaked,
    raw_os_errors,
    damage_is_pending,
    checksum_ignored,
)
