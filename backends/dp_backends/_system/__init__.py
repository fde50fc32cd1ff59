"""
Facts of the operating system, for all stores that keep files.

================== ====================================================
``_disks``         durable names, and what errors mean
``_mounts``        file systems, and foreign machines
``_inotify``       changes in a directory, as the kernel reports them
``_disk_checks``   whether a place can keep what has to be durable
``_inotify_checks`` whether the kernel reports changes there
================== ====================================================
"""

from dp_backends._system._disk_checks import check_directory, check_disk
from dp_backends._system._disks import (
    explained,
    fsync,
    fsync_directory,
    opened_directory,
)
from dp_backends._system._inotify import (
    NAMES,
    WRITES,
    DirectoryEvent,
    Inotify,
    open_inotify,
)
from dp_backends._system._inotify_checks import check_reports
from dp_backends._system._mounts import is_remote

__all__ = [
    "NAMES",
    "WRITES",
    "DirectoryEvent",
    "Inotify",
    "check_directory",
    "check_disk",
    "check_reports",
    "explained",
    "fsync",
    "fsync_directory",
    "is_remote",
    "open_inotify",
    "opened_directory",
]
