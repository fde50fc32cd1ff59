"""
`Place` and `open_store`: the layout of a store's directory, and its creation.

::

    promises/                0700, of this user
        FORMAT               published last: the store is complete
        p/00/ … p/ff/        shards, by the first two digits of a name
            <name>.json               the first generation's outcome
            <name>.head.json          names the current generation, if another
            <name>.<generation>.json  a later generation's outcome
            .t-<name>-<nonce>         being written, or not known durable yet

*name* is the SHA-256 of the id's UTF-8: no id can leave the directory, be too
long for a file name, or meet another one on a file system that folds case.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Final, final

from dp_backends.file._files import (
    explained,
    fsync_directory,
    read_file,
    remove,
    write_new_file,
)
from dp_backends.file._record import FIRST, FORMAT
from dp_core import AccessDeniedError, BackendUnavailableError

__all__ = [
    "FOREIGN",
    "GRACE",
    "HEAD",
    "SHARDS",
    "TEMPORARY",
    "Place",
    "PromiseFiles",
    "is_remote",
    "open_store",
    "read_name",
    "shard_path",
]

TEMPORARY: Final = ".t-"
"""The beginning of all names of temporary files."""

HEAD: Final = "head"
"""The kind, for `read_name`, of the file that names the current generation."""

FOREIGN: Final = ""
"""The kind, for `read_name`, of a file that is not part of a store."""

GRACE: Final = 3600.0
"""
Seconds for which a process may stand still within one operation.

Temporary files, and the names of dead outcomes, are removed only after this.
"""

SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
"""The names of the directories that promises are spread over."""

_FILE: Final = re.compile(
    rf"(?P<name>[0-9a-f]{{64}})(?:\.(?P<what>{HEAD}|[0-9a-f]{{32}}))?\.json"
)

_FORMAT_FILE: Final = "FORMAT"
_FORMAT: Final = b'{"format": %d}\n' % FORMAT


@dataclass(frozen=True, slots=True)
class PromiseFiles:
    """
    The names of the files of one promise.

    Attributes:
        shard: The directory they are all in.
        name: The part that their names have in common.
    """

    shard: str
    name: str

    @property
    def head(self) -> str:
        return f"{self.shard}/{self.name}.head.json"

    def outcome(self, generation: str) -> str:
        middle = "" if generation == FIRST else f".{generation}"
        return f"{self.shard}/{self.name}{middle}.json"

    def temporary(self, nonce: str) -> str:
        return f"{self.shard}/{TEMPORARY}{self.name}-{nonce}"


@final
@dataclass(frozen=True, slots=True)
class Place(PromiseFiles):
    """
    The files of the promise with a certain id.

    Attributes:
        id: The id whose hash the name is.
    """

    id: str

    @classmethod
    def of(cls, root: str, id: str) -> Place:
        name = sha256(id.encode()).hexdigest()
        return cls(shard_path(root, name[:2]), name, id)


def shard_path(root: str, shard: str) -> str:
    """Return the path of one of the `SHARDS`."""
    return f"{root}/p/{shard}"


def read_name(file: str) -> tuple[str, str]:
    """
    Return the promise that a file belongs to, and its kind.

    Returns:
        The promise's *name*, and `HEAD`, `TEMPORARY`, `FOREIGN` or the
        generation whose outcome the file is.
    """
    if file.startswith(TEMPORARY):
        return file.removeprefix(TEMPORARY).partition("-")[0], TEMPORARY
    match = _FILE.fullmatch(file)
    if match is None:
        return file, FOREIGN
    return match["name"], match["what"] or FIRST


def open_store(root: str) -> None:
    """
    Make sure that there is a store at *root* that we may use.

    Any number of processes may do so at once, and be killed doing so.

    Raises:
        AccessDeniedError: It belongs to somebody else, or others may write it.
        BackendUnavailableError: It is something else, of a newer format, or on
            a file system that cannot keep promises.
    """
    with explained(f"open the store {root}"):
        complete = _is_complete(root)
        if not complete:
            _make_root(root)
        _check_owner(root)
        if not complete:
            _fill(root)


def _is_complete(root: str) -> bool:
    content = read_file(f"{root}/{_FORMAT_FILE}")
    if content is None:
        return False
    try:
        form = json.loads(content[0])["format"]
    except (ValueError, TypeError, KeyError):
        raise BackendUnavailableError(
            f"the file {root}/{_FORMAT_FILE} is damaged; if this is a store of "
            f"promises, write into it: {_FORMAT.decode().strip()}"
        ) from None
    if form != FORMAT:
        raise BackendUnavailableError(
            f"the store {root} has format {form}, and this version reads {FORMAT}; "
            "upgrade durable-promises, or name another directory"
        )
    return True


def _check_owner(root: str) -> None:
    for path in (root, f"{root}/p"):
        # The root and "p" are enough: nobody else can write anything below them.
        with suppress(FileNotFoundError):
            _check_ours(path, os.lstat(path) if path != root else os.stat(root))


def _check_ours(root: str, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise AccessDeniedError(
            f"{root} is not a directory, but part of a store of promises"
        )
    if status.st_uid != os.geteuid():
        raise AccessDeniedError(
            f"the store {root} belongs to user {status.st_uid}, you are "
            f"{os.geteuid()}; share it through `dp serve` instead"
        )
    if status.st_mode & 0o022:
        raise AccessDeniedError(
            f"others may write into the store {root}; run: chmod go-w {root}"
        )


def _make_root(root: str) -> None:
    path = Path(root)
    for parent, directory in pairwise([*reversed(path.parents), path]):
        if not directory.is_dir():
            _mkdir(str(directory))
            fsync_directory(str(parent))
        else:
            # The process that created it may have died before this fsync.
            _fsync_if_possible(str(parent))


def _fsync_if_possible(directory: str) -> None:
    """Make the names in a directory durable, unless nobody here may change them."""
    try:
        fsync_directory(directory)
    except OSError as error:
        # Ignore only "not allowed" and "read-only": there, nobody can have created
        # the directory. A disk error must be raised.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL):
            raise


def _fill(root: str) -> None:
    _check_foreign(root)
    _test_file_system(root)
    _mkdir(f"{root}/p")
    for shard in SHARDS:
        _mkdir(shard_path(root, shard))
    fsync_directory(f"{root}/p")
    fsync_directory(root)
    temporary = f"{root}/{TEMPORARY}{token_hex(16)}"
    write_new_file(temporary, _FORMAT)
    with suppress(FileExistsError):
        os.link(temporary, f"{root}/{_FORMAT_FILE}")
    fsync_directory(root)
    remove(temporary)


def _mkdir(path: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)


def _check_foreign(root: str) -> None:
    """Refuse to move into a directory in which something else lives."""
    ours = {"p", _FORMAT_FILE}
    foreign = [
        name
        for name in os.listdir(root)
        if name not in ours and not name.startswith(TEMPORARY)
    ]
    if foreign:
        raise BackendUnavailableError(
            f"{root} is not a store and not empty (it has {min(foreign)!r}); "
            "name a directory of its own"
        )


def _test_file_system(root: str) -> None:
    """Try out what the protocol rests on: link(2), link counts, fsync."""
    one = f"{root}/{TEMPORARY}{token_hex(16)}"
    two = f"{one}.two"
    try:
        write_new_file(one, b"")
        os.link(one, two)
        counted = os.stat(two).st_nlink == 2
        try:
            os.link(one, two)
            exclusive = False
        except FileExistsError:
            exclusive = True
        os.unlink(one)
        fsync_directory(root)
        works = counted and exclusive and os.stat(two).st_nlink == 1
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        works = False
    finally:
        remove(one)
        remove(two)
    if not works:
        raise BackendUnavailableError(
            f"the file system of {root} has no hard links, or does not count them; "
            "use a local one (ext4, xfs, btrfs, apfs), or `dp serve` and http:"
        )


_REMOTE: Final = (
    *(b"9p", b"afs", b"ceph", b"cifs", b"fuse.", b"gluster", b"nfs", b"smb", b"vbox"),
)


def is_remote(root: str) -> bool:
    """
    Tell whether *root* is on a file system that other machines may change.

    There the kernel does not report their changes (inotify(7)).
    """
    device = os.stat(root).st_dev
    number = b"%d:%d" % (os.major(device), os.minor(device))
    with suppress(OSError), open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == number:
                # proc(5): the type follows the separator "-".
                return fields[fields.index(b"-") + 1].startswith(_REMOTE)
    return False
