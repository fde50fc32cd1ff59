"""Disks that are small, and can be filled up; to mount them takes root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["fill_up", "small_memory"]


@contextmanager
def small_memory(root: Path, size: str) -> Iterator[None]:
    """Mount memory of some size, as ``8m``, at a directory that is made for it."""
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(root)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def fill_up(root: Path, left: int) -> Path:
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
