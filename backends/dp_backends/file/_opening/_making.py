"""
`make_store` and `make_whole`: the directories of a store, made and made durable.

Any number of processes may do so at once, and be killed doing so. What is missing in a
store is made again by whoever writes there: a copy may have left out directories that
are empty.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from secrets import token_hex

from dp_backends._system import fsync_directory
from dp_backends.file._files import (
    NoHardLinkError,
    explained,
    link,
    make_directory,
    remove,
    write_new_file,
)
from dp_backends.file._layout import (
    SHARDS,
    FileName,
    Kind,
    shard_path,
    temporary_path,
)
from dp_backends.file._opening._finding import (
    FORMAT_FILE,
    Opened,
    check_foreign,
    find_store,
    format_of,
    format_text,
    opened,
)
from dp_backends.file._opening._owners import check_ours
from dp_backends.file._publishing import Durability
from dp_backends.file._record import OUTCOMES_ONLY, WITH_TERMS
from dp_core import BackendUnavailableError

__all__ = ["make_store", "make_whole", "raise_format", "shards_changed"]


def make_store(root: str, durability: Durability) -> Opened:
    """
    Return the store at *root*, which is made if it is not there.

    Raises:
        AccessDeniedError: It belongs to somebody else.
        BackendUnavailableError: It is something else, of a newer format, or on
            a file system that cannot keep promises.
    """
    found = find_store(root, durability)
    if found is not None:
        return found
    with explained(f"make the store {root}"):
        _make_root(root)
        check_ours(root)
        changed = _fill(root)
        return replace(opened(root, durability), shards=changed)


def make_whole(root: str, durability: Durability) -> tuple[int, int]:
    """
    Make sure that all of a store is there, and that its names are durable.

    Whoever made one again may have died before that, so that it is not enough to find
    it there.

    Returns:
        What `shards_changed` returns as long as none was made or removed since.

    Raises:
        OSError: They may be durable or not.
    """
    if format_of(root) is None:
        return _fill(root)
    _make_missing(root)
    changed = shards_changed(root)
    try:
        durability.fsync_names(f"{root}/p")
        durability.fsync_names(root)
    except OSError:
        _unmake(root)
        raise
    return changed


def shards_changed(root: str) -> tuple[int, int]:
    """Return when a shard was last made or removed, in a way to be compared."""
    status = os.stat(f"{root}/p")
    return status.st_ino, status.st_ctime_ns


def raise_format(root: str, durability: Durability) -> None:
    """
    Make a store one of the newest format, durable, before anything of it is written.

    From then on a version that does not know that format refuses the store. Any number
    of processes may do this at once: all write the same.

    Raises:
        OSError: It may be durable or not.
    """
    if format_of(root) != WITH_TERMS:
        temporary = temporary_path(root, token_hex(16))
        write_new_file(temporary, format_text(WITH_TERMS))
        try:
            os.rename(temporary, f"{root}/{FORMAT_FILE}")
        except OSError:
            remove(temporary)
            raise
    # Also where it is of that format already: whoever made it so may have died.
    durability.fsync_names(root)


def _make_root(root: str) -> None:
    path = Path(root)
    for parent, directory in pairwise([*reversed(path.parents), path]):
        if directory.is_dir():
            # The process that created it may have died before this fsync.
            _fsync_if_possible(str(parent))
        elif make_directory(str(directory)):
            try:
                fsync_directory(str(parent))
            except OSError:
                # Made anew by the next attempt: a second fsync alone proves nothing.
                with suppress(OSError):
                    os.rmdir(directory)
                raise
        else:
            fsync_directory(str(parent))


def _fsync_if_possible(directory: str) -> None:
    """Make the names in a directory durable, unless nobody here may change them."""
    try:
        fsync_directory(directory)
    except OSError as error:
        # Ignore only "not allowed" and "read-only": there, nobody can have created
        # the directory. A disk error must be raised.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL):
            raise


def _fill(root: str) -> tuple[int, int]:
    """Make all of a store, durable; return what `shards_changed` does."""
    check_foreign(root)
    _test_file_system(root)
    is_new = _make_missing(root)
    changed = shards_changed(root)
    temporary = temporary_path(root, token_hex(16))
    is_named = False
    try:
        fsync_directory(f"{root}/p")
        fsync_directory(root)
        write_new_file(temporary, format_text(OUTCOMES_ONLY if is_new else _form(root)))
        with suppress(FileExistsError):
            link(temporary, f"{root}/{FORMAT_FILE}")
            is_named = True
        fsync_directory(root)
    except OSError:
        with suppress(OSError):
            # Unless another one has made it one of a newer format meanwhile.
            if is_named and os.path.samefile(temporary, f"{root}/{FORMAT_FILE}"):
                remove(f"{root}/{FORMAT_FILE}")
        remove(temporary)
        _unmake(root)
        raise
    remove(temporary)
    return changed


def _form(root: str) -> int:
    """
    Return the format of a store without its name.

    An old version that took a store with terms for one of its own would ignore them.
    """
    for shard in SHARDS:
        for name in os.listdir(shard_path(root, shard)):
            if FileName.of(name).kind is Kind.TERMS:
                return WITH_TERMS
    return OUTCOMES_ONLY


def _make_missing(root: str) -> bool:
    """Make the directories that are missing; return whether all of them were."""
    parts = [f"{root}/p", *(shard_path(root, shard) for shard in SHARDS)]
    try:
        have = set(os.listdir(parts[0]))
    except FileNotFoundError:
        have = set()
    else:
        parts = [p for p in parts[1:] if os.path.basename(p) not in have]
    made: list[str] = []
    try:
        made.extend(part for part in parts if make_directory(part))
    except OSError:
        # Where there is no room for all, none of them takes any.
        _remove_empty(*made)
        raise
    return len(made) > len(SHARDS)


def _unmake(root: str) -> None:
    """
    Remove the directories that are empty, after their names may have been lost.

    So the next attempt writes them anew: that a second fsync succeeds proves nothing.
    Who uses the store meanwhile misses them, and makes them again.
    """
    _remove_empty(f"{root}/p", *(shard_path(root, shard) for shard in SHARDS))


def _remove_empty(*directories: str) -> None:
    for directory in reversed(directories):
        with suppress(OSError):
            os.rmdir(directory)


def _test_file_system(root: str) -> None:
    """Try out what the protocol rests on: link(2), link counts, fsync."""
    one = temporary_path(root, token_hex(16))
    two = f"{one}.two"
    try:
        write_new_file(one, b"")
        try:
            os.link(one, two)
        except OSError as error:
            raise NoHardLinkError(error.errno, error.strerror) from error
        counted = os.stat(two).st_nlink == 2
        try:
            os.link(one, two)
            exclusive = False
        except FileExistsError:
            exclusive = True
        except OSError as error:
            raise NoHardLinkError(error.errno, error.strerror) from error
        os.unlink(one)
        fsync_directory(root)
        works = counted and exclusive and os.stat(two).st_nlink == 1
    finally:
        remove(one)
        remove(two)
    if not works:
        raise BackendUnavailableError(
            f"the file system of {root} does not count hard links; use a local one "
            "(ext4, xfs, btrfs, apfs), or `dp serve` and http:"
        )
