"""
`Disk`: a real file system in a file, whose power can be cut.

The ioctl that stops ext4 and xfs for their own crash tests (``xfs_io -x -c
shutdown``, as xfstests use it) lets nothing more reach the disk, not even the
journal in memory. Mounting it again recovers it as after a power cut: data that
was fsynced is there, and of the rest only what the file system had written.

It cannot simulate a disk that lies about having written, nor writes that are
reordered between two fsyncs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Disk"]

# EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are the same: _IOR('X', 125, __u32).
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = struct.pack("I", 2)

_MKFS: Final = {
    # Many inodes: a store has a few hundred directories.
    "ext4": ("mkfs.ext4", "-q", "-F", "-N", "262144", "-E", "lazy_itable_init=1"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}
_SIZE: Final = 1024 * 1024 * 1024


class Disk:
    """
    A file system whose power can be cut; a context manager. Needs root.

    Args:
        directory: The folder of its image and its mount point.
        kind: ``ext4`` or ``xfs``.
        size: In bytes; the image takes only as much as is written.

    Attributes:
        root: Its mount point.
    """

    def __init__(
        self, directory: str | os.PathLike[str], kind: str = "ext4", size: int = _SIZE
    ) -> None:
        self._kind = kind
        self._image = Path(directory, f"{kind}.img")
        self._size = size
        self.root = Path(directory, kind)

    @staticmethod
    def missing(kind: str = "ext4") -> str | None:
        """Return a sentence on what is missing on this machine, or None."""
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            return "only root may mount a disk"
        for tool in (_MKFS[kind][0], "mount", "umount", "losetup"):
            if shutil.which(tool) is None:
                return f"{tool} is not installed"
        found = subprocess.run(
            ["losetup", "--find"],  # noqa: S607 - where it is differs
            capture_output=True,
            check=False,
        )
        return "there is no loop device" if found.returncode else None

    def __enter__(self) -> Self:
        self.root.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._size)
        _run(*_MKFS[self._kind], str(self._image))
        self._mount()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unmount()
        self._image.unlink()
        self.root.rmdir()

    def cut_power(self) -> None:
        """Stop the file system at once, and mount it again."""
        fd = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(fd)
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        # A new device each time: a process that copied the mount namespace
        # meanwhile, as sandboxes do, keeps the old one alive, and stopped.
        device = _run("losetup", "--find", "--show", str(self._image))
        try:
            _run("mount", device, str(self.root))
        finally:
            # It stays while it is mounted, also where nobody is left to unmount it.
            _run("losetup", "--detach", device)

    def _unmount(self) -> None:
        _run("umount", "--lazy", str(self.root))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - the callers' constant words
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise OSError(f"{' '.join(command)}: {said}")
    return done.stdout.decode().strip()
