"""`check_disk`, `check_directory`: whether a place can keep what has to be durable."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from dp_backends._system._mounts import FileSystem, file_system_of
from dp_core.backend import Check, CheckStatus

__all__ = ["check_directory", "check_disk"]

_NAME: Final = "file system"

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_WITHOUT_LINKS: Final = frozenset({"exfat", "fuseblk", "hfs", "msdos", "vfat"})
_LAYERED: Final = frozenset({"aufs", "fuse-overlayfs", "overlay"})
# Without them a disk may lose what an fsync has said to be on it.
_UNSAFE: Final = frozenset({"barrier=0", "nobarrier", "volatile"})

_LITTLE: Final = 64 * 1024 * 1024
_FEW: Final = 10_000


def check_disk(path: str, *, needs_links: bool) -> Iterator[Check]:
    """
    Yield what is found about the disk of a path.

    Args:
        path: Something that is there.
        needs_links: Whether hard links are needed there.
    """
    found = file_system_of(os.stat(path))
    if found is not None:
        yield _file_system(found, path, needs_links=needs_links)
    yield _space(path)


def _file_system(found: FileSystem, path: str, *, needs_links: bool) -> Check:
    for is_so, status, text, advice in _RULES:
        if is_so(found, needs_links):
            return Check(_NAME, status, f"{path} is on {found.kind}, {text}", advice)
    return Check(_NAME, "ok", f"{path} is on {found.kind}, a local file system")


_Rule: TypeAlias = tuple[Callable[[FileSystem, bool], bool], CheckStatus, str, str]

_RULES: Final[tuple[_Rule, ...]] = (
    (
        lambda found, needs_links: found.is_remote,
        "problem",
        "which other machines may change; locks, links and reports do not hold there",
        "take a directory on a local disk, or postgresql:, or `dp serve` and http:",
    ),
    (
        lambda found, needs_links: needs_links and found.kind in _WITHOUT_LINKS,
        "problem",
        "which has no hard links, or may have none",
        "take a directory on ext4, xfs, btrfs or apfs, or sqlite:",
    ),
    (
        lambda found, needs_links: "ro" in found.options,
        "problem",
        "which is mounted read-only",
        "mount it for writing, or take another directory",
    ),
    (
        lambda found, needs_links: found.kind in _IN_MEMORY,
        "warning",
        "in memory: nothing there survives a power cut",
        "take a directory on a disk, if promises are to outlive the machine",
    ),
    (
        lambda found, needs_links: found.kind in _LAYERED,
        "warning",
        "as the files of a container are, which go with it",
        "mount a volume there, which outlives the container",
    ),
    (
        lambda found, needs_links: bool(_UNSAFE & found.options),
        "warning",
        "mounted with an option by which a power cut may lose what was acknowledged",
        f"mount it without {', '.join(sorted(_UNSAFE))}",
    ),
)
"""Kinds of file systems, the worst first: which, how bad, why, and what to do."""


def _space(path: str) -> Check:
    found = os.statvfs(path)
    if not found.f_blocks:
        return Check("space", "ok", "the file system does not say how much is free")
    free, files = found.f_bavail * found.f_frsize, found.f_favail
    # Some file systems make inodes as they need them, and say 0 of both.
    counted = bool(found.f_files)
    text = f"{free / 1024**2:,.0f} MiB" + (f", {files:,} files" if counted else "")
    is_short = free < _LITTLE or (counted and files < _FEW)
    if not free or (counted and not files):
        return Check("space", "problem", f"the disk is full ({text})", _ROOM)
    if is_short:
        return Check("space", "warning", f"little is free: {text}", _ROOM)
    return Check("space", "ok", f"{text} are free")


_ROOM: Final = 'free some space; "dp prune" disposes of what is settled and old'

_OTHERS_MAY_WRITE: Final = 0o022


def check_directory(path: str, *, makes_it: bool) -> Iterator[Check]:
    """
    Yield what keeps this user from making files in a directory; nothing if all is well.

    Args:
        path: The directory, which may be missing.
        makes_it: Whether it is made where it is missing, with those above it.
    """
    above = path
    while not os.path.lexists(above) and above != os.path.dirname(above):
        above = os.path.dirname(above)
    if above != path and not makes_it:
        yield Check("directory", "problem", f"there is no directory {path}", "make it")
        return
    status = os.stat(above)
    if not stat.S_ISDIR(status.st_mode):
        yield Check(
            "directory",
            "problem",
            f"{above} is not a directory",
            "name another path, or move away what is there",
        )
    elif os.statvfs(above).f_flag & os.ST_RDONLY:
        return  # Nobody may, which is for `check_disk` to say.
    elif not os.access(above, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
        yield Check(
            "directory",
            "problem",
            f"user {os.geteuid()} may not write into {above}, which belongs to user "
            f"{status.st_uid}, with mode {stat.S_IMODE(status.st_mode):04o}",
            "run as its owner, change owner or mode, or name another path",
        )


_EFFECTIVE: Final = os.access in os.supports_effective_ids
