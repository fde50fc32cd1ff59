"""
`publish`: a record gets its name, once, and the name becomes durable.

An outcome gets its name by link(2), which fails if the name is there; a head by
rename(2), which replaces. In both cases the file keeps a second, temporary name,
its *mark*, until its directory was fsynced (rule 2 of `_store`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from secrets import token_hex

from dp_backends.file._durability import Durability
from dp_backends.file._files import explained, opened_directory, remove, write_new_file
from dp_backends.file._layout import Place
from dp_backends.file._record import Record
from dp_core import OutcomeUnknownError

__all__ = ["publish"]


def publish(durability: Durability, root: str, place: Place, record: Record) -> bool:
    """
    Write a record, give it its name, and make that durable.

    Leaves the mark, the temporary name of the record's nonce, in place; the
    caller removes it last.

    Returns:
        Whether the name was free; that of a head always is.

    Raises:
        OutcomeUnknownError: The record may have its name, or not.
        BackendError: It could not be written, and has no name.
    """
    is_head = record.outcome is None
    give_name = _replace_head if is_head else _link_outcome
    # A head is not written under its mark: see `_replace_head`.
    written = place.temporary(token_hex(16) if is_head else record.nonce)
    with (
        explained(f"write a promise in {root}"),
        # Opened before anything is visible: nothing but the disk itself
        # can fail between the name and its durability.
        opened_directory(place.shard) as directory,
    ):
        write_new_file(written, record.to_bytes())
        try:
            is_free = give_name(place, record, written)
        except OSError:
            # Only after an OSError do we know that the name was not given.
            remove(written)
            raise
        if not is_free:
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


def _link_outcome(place: Place, record: Record, written: str) -> bool:
    """Give an outcome its name, if that is free; the kernel decides."""
    path = place.outcome(record.generation)
    try:
        os.link(written, path)
    except FileNotFoundError:
        # The janitor took it for an orphan: we stood still for that long.
        os.stat(place.shard)
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
        os.link(written, mark)
        os.rename(written, place.head)
    except OSError:
        if _is_same(mark, place.head):
            return True
        remove(mark)
        raise
    return True


def _is_same(temporary: str, path: str) -> bool:
    """
    Tell whether a name was given although the call reported an error.

    Over a network the answer to a call that succeeded can get lost (open(2), NFS).
    """
    with suppress(OSError):
        return os.path.samefile(temporary, path)
    return False
