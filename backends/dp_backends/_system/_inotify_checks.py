"""`check_reports`: whether the kernel reports changes in a directory (inotify(7))."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final

from dp_backends._system._inotify import open_inotify
from dp_core.backend import Check

__all__ = ["check_reports"]

_NAME: Final = "inotify"

# A limit of the user's name space, and one of the whole system: the lower one counts.
_LIMITS: Final = ("/proc/sys/fs/inotify/max_user_{}", "/proc/sys/user/max_inotify_{}")

_SPARE_WATCHES: Final = 300
"""A process that waits on a `file:` store watches up to 257 directories."""
_SPARE_INSTANCES: Final = 4

_COUNTING_SECONDS: Final = 2.0
"""The longest time to count; there may be any number of processes."""

_WITHOUT: Final = "waiters look at the store now and then, and are woken later"


def check_reports(directory: str) -> Check:
    """Return whether a directory can be watched now, and how much of that is left."""
    limits = {name: _limit(name) for name in ("instances", "watches")}
    if limits["instances"] is None:  # pragma: no cover - not on Linux
        return Check(_NAME, "ok", f"this system has none: {_WITHOUT}")
    used, is_all = _used()
    words = ", ".join(
        f"{'' if is_all else 'at least '}{used[name]:,} of {limit:,} {name}"
        for name, limit in limits.items()
        if limit is not None
    )
    shown = f"user {os.geteuid()} has {words} in use"
    lacking = _lacking(directory)
    if lacking is not None:
        return Check(
            _NAME,
            "warning",
            f"no {lacking} are left: {_WITHOUT}; {shown}",
            _raise(lacking),
        )
    for name, spare in (("instances", _SPARE_INSTANCES), ("watches", _SPARE_WATCHES)):
        limit = limits[name]
        if limit is not None and limit - used[name] < spare:
            return Check(
                _NAME,
                "warning",
                f"few {name} are left, and without {_WITHOUT}; {shown}",
                _raise(name),
            )
    return Check(_NAME, "ok", f"the kernel reports changes; {shown}")


def _raise(name: str) -> str:
    number = {"instances": 1024, "watches": 524288}[name]
    return (
        f"raise the limit: sysctl fs.inotify.max_user_{name}={number} (in a file of "
        "/etc/sysctl.d to keep it), or end programs that watch a lot"
    )


def _lacking(directory: str) -> str | None:
    """Return what is used up; nothing in the directory is changed by this."""
    inotify = open_inotify()
    if inotify is None:
        return "instances"
    return None if inotify.add(directory) else "watches"


def _limit(name: str) -> int | None:
    """Return a limit of this user; None where nobody says it."""
    found: list[int] = []
    for path in _LIMITS:
        with suppress(OSError, ValueError), open(path.format(name), "rb") as file:
            found.append(int(file.read()))
    return min(found, default=None)


def _used() -> tuple[dict[str, int], bool]:
    """Return how much this user has in use, and whether that is all."""
    used = {"instances": 0, "watches": 0}
    ends = time.monotonic() + _COUNTING_SECONDS
    with suppress(OSError):
        for process in os.listdir("/proc"):
            if time.monotonic() > ends:
                return used, False
            # Others', and those that end meanwhile, are not ours to look at.
            with suppress(OSError):
                if (
                    process.isdigit()
                    and os.stat(f"/proc/{process}").st_uid == os.geteuid()
                ):
                    _count(f"/proc/{process}", used)
    return used, True


def _count(process: str, used: dict[str, int]) -> None:
    for descriptor in os.listdir(f"{process}/fd"):
        with suppress(OSError):
            if os.readlink(f"{process}/fd/{descriptor}") == "anon_inode:inotify":
                used["instances"] += 1
                with open(f"{process}/fdinfo/{descriptor}", "rb") as lines:
                    used["watches"] += sum(
                        line.startswith(b"inotify ") for line in lines
                    )
