"""
`check_ours`, `check_parents`: nobody else may change a store's directory.

Modes that a umask or a volume's mount has changed are repaired by their owner.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from dp_core import AccessDeniedError

__all__ = ["check_ours", "check_parents", "let_us_in", "open_parent"]

_log: Final = logging.getLogger("dp_backends.file")

_OTHERS_MAY_WRITE: Final = 0o022


def let_us_in(root: str, status: os.stat_result) -> None:
    """Repair what a umask has done to a directory that we made."""
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if ours and status.st_mode & 0o500 != 0o500:
        os.chmod(root, stat.S_IMODE(status.st_mode) | 0o500)


def _is_private(status: os.stat_result) -> bool:
    """Tell whether a directory is ours to use, and others may not write into it."""
    wrong = status.st_mode & _OTHERS_MAY_WRITE or status.st_mode & 0o500 != 0o500
    return status.st_uid == os.geteuid() and not wrong


def check_ours(root: str) -> None:
    """
    Make sure that nobody else can change the store.

    Its root and "p" are enough: nobody else can write anything below them.
    """
    for path in (root, f"{root}/p"):
        with suppress(FileNotFoundError):
            status = os.lstat(path) if path != root else os.stat(root)
            if not stat.S_ISDIR(status.st_mode):
                raise AccessDeniedError(
                    f"{path} is not a directory, but part of a store of promises"
                )
            if status.st_uid != os.geteuid():
                raise AccessDeniedError(
                    f"the store {path} belongs to user {status.st_uid}, you are "
                    f"{os.geteuid()}; share it through `dp serve` instead, or name "
                    "another directory"
                )
            if _is_private(status):
                continue
            # As a volume is mounted whose files a group may write, for one.
            mode = stat.S_IMODE(status.st_mode) & ~0o077 | 0o500
            if _chmod(path, mode) and status.st_mode & _OTHERS_MAY_WRITE:
                _log.warning(
                    "others could write into %s; now it is for its owner alone", path
                )


def _chmod(path: str, mode: int) -> bool:
    """Change a mode; return False where nobody can write, so that it is as good."""
    try:
        os.chmod(path, mode)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return False
    return True


def check_parents(root: str) -> None:
    """
    Refuse a directory that took the place of the store, if others could do that.

    Raises:
        AccessDeniedError: Others may write into one above it.
    """
    parent = open_parent(root)
    if parent is not None:
        raise AccessDeniedError(
            f"the store {root} is not the directory that was opened, and others "
            f"may write into {parent}; if you replaced it, open it anew"
        )


def open_parent(root: str) -> str | None:
    """
    Return a directory above the store into which others may write, if there is one.

    As sshd(8) checks the directories above a file that it trusts; in those that are
    sticky, as /tmp is, others cannot rename what is ours.
    """
    parents = {*Path(root).parents, *Path(os.path.realpath(root)).parents}
    for parent in sorted(parents):
        status = os.stat(parent)
        open_to_others = status.st_mode & _OTHERS_MAY_WRITE and not (
            status.st_mode & stat.S_ISVTX
        )
        if open_to_others or status.st_uid not in (0, os.geteuid()):
            return str(parent)
    return None
