"""
`Disk`: names and bytes that must be durable by POSIX, read off the system calls.

A file system may make more durable than it was asked to: ext4 writes all names
with any fsync. So a power cut on it cannot prove that every fsync is there
that another one needs. Here nothing is durable that was not fsynced since: a
file's bytes by fsync of the file, a name by fsync of its directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dp_core.testing.crash import Lane, Point, Step

__all__ = ["Disk", "traced"]

_CALLS: Final = "openat,write,writev,fsync,link,rename,unlink,mkdir"
_LINE: Final = re.compile(r"^\d+ +(?P<call>\w+)\((?P<given>.*)\) += (?P<result>\d+)")
_NAMES: Final = re.compile(r'"([^"]*)"|<([^>]*)>')


def traced(
    lane: Lane, url: str, steps: Iterable[Step], point: Point | None = None
) -> list[str]:
    """Return the trace of a process that performs steps, killed at a point or not."""
    options = ["-y", "-s", "4096", "-e", f"trace={_CALLS}"]
    if point is not None:
        options[-1] += f",{point.call}"
        options += ["-e", f"inject={point.call}:signal=KILL:when={point.number}"]
    ended = lane._traced(lane.begin(url, list(steps)), *options)
    assert (point is not None) == ended.killed, ended
    assert ended.failure is None
    return lane._trace.read_text().splitlines()


@dataclass
class Disk:
    """
    The contents of a disk that writes nothing unless it is told to.

    Attributes:
        names: Directories with names that are not durable, and why.
        bytes: Files with content that is not durable, by the name they got first.
        marks: Temporary names of files that have got their real name.
        broken: What was wrong, in words.
    """

    names: dict[str, str] = field(default_factory=dict)
    bytes: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    _written: set[str] = field(default_factory=set)

    def follow(self, trace: Iterable[str]) -> None:
        """Follow the calls of a process up to its end."""
        for line in trace:
            if match := _LINE.match(line):
                names = [a or b for a, b in _NAMES.findall(match["given"])]
                getattr(self, f"_{match['call']}", self._ignore)(*names)

    def _ignore(self, *names: str) -> None:
        return

    def _mkdir(self, path: str) -> None:
        self.names[os.path.dirname(path)] = f"mkdir {path}"

    def _link(self, old: str, new: str) -> None:
        if old in self.bytes:
            self.broken.append(f"{new} was named before its content was fsynced")
        if old in self._written:
            self._written.add(new)
        # The empty file that replaces a dead outcome need not be durable.
        if old in self._written and not _is_temporary(new):
            if new.endswith("/FORMAT"):
                # The next process that opens a store without it completes it.
                self._nothing_is_open(f"{new} was named")
            else:
                self.names[os.path.dirname(new)] = f"link {new}"
                self.marks.add(old)

    def _rename(self, old: str, new: str) -> None:
        self._link(old, new)

    def _write(self, path: str, *data: str) -> None:
        self.bytes.add(path)
        self._written.add(path)

    def _fsync(self, path: str) -> None:
        self.names.pop(path, None)
        self.bytes.discard(path)

    def _unlink(self, path: str) -> None:
        self.bytes.discard(path)
        why = self.names.get(os.path.dirname(path))
        if path in self.marks and why is not None:
            self.broken.append(f"{path} was removed before this was durable: {why}")

    def _writev(self, acks: str, *data: str) -> None:
        self._nothing_is_open("it was acknowledged")

    def _nothing_is_open(self, what: str) -> None:
        for directory, why in self.names.items():
            self.broken.append(f"{what} before {directory} was fsynced ({why})")


def _is_temporary(path: str) -> bool:
    return os.path.basename(path).startswith(".t-")
