"""`file_system_of`: the file system that a path is on, as the kernel says it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

__all__ = ["FileSystem", "file_system_of", "is_remote"]

_REMOTE: Final = (
    *("9p", "afs", "ceph", "cifs", "fuse.", "gluster", "nfs", "smb", "vbox"),
)


@final
@dataclass(frozen=True, slots=True)
class FileSystem:
    """
    A file system, as it is mounted.

    Attributes:
        kind: Its type, such as "ext4".
        options: The options of the mount, and of the file system.
    """

    kind: str
    options: frozenset[str]

    @property
    def is_remote(self) -> bool:
        """Whether other machines may change it."""
        return self.kind.startswith(_REMOTE)


def file_system_of(status: os.stat_result) -> FileSystem | None:
    """Return the file system of a file or directory; None where nobody says it."""
    number = b"%d:%d" % (os.major(status.st_dev), os.minor(status.st_dev))
    with suppress(OSError), open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == number:
                # proc(5): the type follows the separator "-", then come the source
                # and the options of the file system.
                kind, _, *options = fields[fields.index(b"-") + 1 :]
                text = os.fsdecode(b",".join((fields[5], *options)))
                return FileSystem(os.fsdecode(kind), frozenset(text.split(",")))
    return None


def is_remote(status: os.stat_result) -> bool:
    """
    Tell whether a directory is on a file system that other machines may change.

    There the kernel does not report their changes (inotify(7)).
    """
    found = file_system_of(status)
    return found is not None and found.is_remote
