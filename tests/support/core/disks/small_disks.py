"""
Disks that are small, and can be filled up; to mount them takes root.

The processes of a test run see mounts that nobody else sees (`private_mounts`), and the
kernel takes them away with the last of those processes, however it ended.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["fill_up", "private_mounts", "small_memory"]

_CLONE_NEWNS: Final = 0x00020000
"""Of unshare(2). Python has it by name from 3.12 on."""


def private_mounts() -> None:
    """
    Let this process, and those that it starts, have mounts of their own.

    Threads that it has already keep the old ones. Who is not root cannot mount anything
    either, and nothing is changed for them.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    if ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        return
    # What the machine mounts and unmounts is seen here, and nothing of ours there.
    subprocess.run(["mount", "--make-rslave", "/"], check=True)


@contextmanager
def small_memory(root: Path, options: str, owner: Path | None = None) -> Iterator[Path]:
    """
    Mount memory at a directory that is made for it.

    Args:
        root: The directory.
        options: What it has, as in ``size=8m`` or ``nr_inodes=1000``.
        owner: A file to whose owner it then belongs, and to nobody else.
    """
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(root)]
    subprocess.run(mount, check=True)
    try:
        if owner is not None:
            found = owner.stat()
            os.chown(root, found.st_uid, found.st_gid)
            root.chmod(0o700)
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def fill_up(root: Path, left: int = 0) -> Path:
    """Fill a disk but for some bytes; return the file that does."""
    filler = root / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - left)
    return filler
