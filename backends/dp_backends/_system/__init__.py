"""
Facts of the operating system, for all stores that keep files.

============ ==========================================================
``_disks``   durable names, foreign machines, and what errors mean
``_inotify`` changes in a directory, as the kernel reports them
============ ==========================================================
"""

from dp_backends._system._disks import (
    explained,
    fsync,
    fsync_directory,
    is_remote,
    opened_directory,
)
from dp_backends._system._inotify import (
    NAMES,
    WRITES,
    DirectoryEvent,
    Inotify,
    open_inotify,
)

__all__ = [
    "NAMES",
    "WRITES",
    "DirectoryEvent",
    "Inotify",
    "explained",
    "fsync",
    "fsync_directory",
    "is_remote",
    "open_inotify",
    "opened_directory",
]
