"""
`publish` and `make_durable`: a record gets its name, and the name becomes durable.

`Durability` makes names durable, and remembers where that has failed.

An outcome, and terms, get their name by link(2), which fails if the name is there; a
head by rename(2), which replaces. In both cases the file keeps a second, temporary
name, its *mark*, until its directory was fsynced (rule 2 of `_store`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from secrets import token_hex
from typing import Final

from dp_backends._system import fsync, opened_directory
from dp_backends.file._files import explained, link, remove, write_new_file
from dp_backends.file._layout import TEMPORARY, Place
from dp_backends.file._record import Record
from dp_core import OutcomeUnknownError, Terms

__all__ = ["Durability", "make_durable", "publish"]


class Durability:
    """
    Durability of the names that one handle writes.

    Attributes:
        failures: How often names could not be made durable. After each time the
            handle opens its store anew.
    """

    def __init__(self) -> None:
        self.failures = 0

    def fsync_names(self, directory: str) -> None:
        """
        Make the names in a directory durable.

        Raises:
            OSError: They may be durable or not.
        """
        with opened_directory(directory) as fd:
            self.fsync_found(fd)

    def fsync_found(self, fd: int) -> None:
        """
        Do what `fsync_names` does, for a directory that is open.

        If it is doubted, a neighbour makes its names dirty again before that, so that
        they must reach the disk.
        """
        if not (_DOUBTED and _identity(os.fstat(fd)) in _DOUBTED):
            self.fsync_opened(fd)
            return
        neighbour = f"{TEMPORARY}{token_hex(16)}"
        os.close(os.open(neighbour, _NEIGHBOUR, 0o600, dir_fd=fd))
        try:
            self.fsync_opened(fd)
        finally:
            with suppress(OSError):
                os.unlink(neighbour, dir_fd=fd)

    def fsync_opened(self, fd: int) -> None:
        """
        Make names durable that were just written to a directory that is open.

        Raises:
            OSError: They may be durable or not.
        """
        try:
            fsync(fd)
        except OSError:
            self.failures += 1
            with suppress(OSError):
                _DOUBTED.add(_identity(os.fstat(fd)))
            raise

    def is_doubted(self, directory: str) -> bool:
        """
        Tell whether an fsync of a directory has failed in this process.

        Then the kernel may call lost names written, so that no later success means
        anything for them (Rebello et al., USENIX ATC 2020). They are to be written
        anew.
        """
        return bool(_DOUBTED) and _identity(os.stat(directory)) in _DOUBTED


_NEIGHBOUR: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


# Of the process: no handle of it may believe what another one saw fail.
_DOUBTED: Final[set[tuple[int, int]]] = set()


def publish(durability: Durability, root: str, place: Place, record: Record) -> bool:
    """
    Write a record, give it its name, and make that durable.

    Leaves the mark, the temporary name of the record's nonce, in place; the
    caller removes it last.

    Returns:
        Whether it has its name. If not, the name was taken, or the janitor took the
        file for an orphan: look, and begin anew.

    Raises:
        OutcomeUnknownError: The record may have its name, or not.
        BackendError: It could not be written, and has no name.
    """
    with explained(f"write a promise in {root}"):
        try:
            return _publish(durability, root, place, record)
        except FileNotFoundError:
            # The shard is not there any more, or the store.
            return False


def _publish(durability: Durability, root: str, place: Place, record: Record) -> bool:
    is_head = record.event is None
    give_name = _replace_head if is_head else _link
    # A head is not written under its mark: see `_replace_head`.
    written = place.temporary(token_hex(16) if is_head else record.nonce)
    # Opened before anything is visible: nothing but the disk itself can fail between
    # the name and its durability.
    with opened_directory(place.shard) as directory:
        write_new_file(written, record.to_bytes())
        try:
            is_named = give_name(place, record, written)
        except OSError:
            # Only after an OSError do we know that the name was not given.
            remove(written)
            raise
        if not is_named:
            remove(written)
            return False
        try:
            durability.fsync_opened(directory)
        except OSError as error:
            raise OutcomeUnknownError(
                f"the disk failed under {root} ({error.strerror}); what was written "
                "may be there or not, repeat the call to learn the outcome"
            ) from error
    return True


def _link(place: Place, record: Record, written: str) -> bool:
    """Give an outcome, or terms, its name, if that is free; the kernel decides."""
    name_of = place.terms if isinstance(record.event, Terms) else place.outcome
    path = name_of(record.generation)
    try:
        link(written, path)
    except FileNotFoundError:
        # The janitor took it for an orphan: we stood still for that long.
        return False
    except OSError as error:
        if _is_same(written, path):
            return True
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _replace_head(place: Place, record: Record, written: str) -> bool:
    """
    Make a disposal the head, with a second name as its mark.

    The name that moves is the one it was written under. If the janitor takes the
    file for an orphan, it takes both names: so either the move fails, or it comes
    before the janitor makes the shard durable.
    """
    mark = place.temporary(record.nonce)
    try:
        link(written, mark)
        os.rename(written, place.head)
    except OSError as error:
        if _is_same(mark, place.head):
            return True
        remove(mark)
        if isinstance(error, FileNotFoundError):
            return False
        raise
    return True


def make_durable(
    durability: Durability, place: Place, path: str, record: Record, data: bytes
) -> None:
    """
    Make a record durable that is not known to be, and remove its mark.

    Where an fsync of the directory has failed in this process, an outcome or terms are
    written anew before that, to a new file that takes the name: what was marked clean
    is dirty again, and must reach the disk. Who finds the name there finds the same
    record at any moment. The new file has a mark of its own, of which only this call
    and the janitor know: a crash between the rename and the end leaves two names, so
    that each reader pays an fsync until the janitor comes.

    A head may be replaced by others meanwhile, and must not be put back. A neighbour of
    its name is enough, see `Durability.fsync_found`.

    Args:
        durability: Makes the name durable.
        place: The promise.
        path: Where the record was found.
        record: The record.
        data: Its bytes.

    Raises:
        OSError: It is not known to be durable, as before.
    """
    marks = [place.temporary(record.nonce)]
    if record.event is not None and durability.is_doubted(place.shard):
        marks.append(place.temporary(token_hex(16)))
        _rewrite(place.temporary(token_hex(16)), marks[1], path, data)
    durability.fsync_names(place.shard)
    for mark in marks:
        remove(mark)


def _rewrite(written: str, mark: str, path: str, data: bytes) -> None:
    write_new_file(written, data)
    try:
        link(written, mark)
        os.rename(written, path)
    except OSError:
        remove(written)
        remove(mark)
        raise


def _is_same(temporary: str, path: str) -> bool:
    """
    Tell whether a name was given although the call reported an error.

    Over a network the answer to a call that succeeded can get lost (open(2), NFS).
    """
    with suppress(OSError):
        return os.path.samefile(temporary, path)
    return False
