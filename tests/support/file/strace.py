"""
`Disk`: names and bytes that must be durable by POSIX, read off the system calls.

`run_with_failing` finds a system call by the file that it is on, and lets it fail.

A file system may make more durable than it was asked to: ext4 writes all names
with any fsync. So a power cut on it cannot prove that every fsync is there
that another one needs. Here nothing is durable that was not fsynced since: a
file's bytes by fsync of the file, a name by fsync of its directory.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dp_backends.file._layout import FileName
from dp_core.testing.crash import Ended, Lane, Point, Step
from support.file.crash_setups import OVER

__all__ = ["Disk", "run_with_failing", "traced"]

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


def run_with_failing(
    lane: Lane, root: str, id: str, call: str, file: str, error: str
) -> Ended:
    """
    Let a process resolve a promise, while a system call fails.

    Which one it is by number, is seen in a process that resolves another promise of
    the same store, and in which nothing fails.

    Args:
        lane: Runs the process.
        root: The store's directory.
        id: The promise.
        call: The system call's name.
        file: What it is on, as `_subject` calls it; the first such call fails.
        error: Its error.
    """
    options = ["-y", "-s", "4096", "-e", f"trace={call}"]
    url = f"file:{root}"
    lane._traced(lane.begin(url, [Step("resolve", "another", "dry")]), *options)
    counts: Counter[str] = Counter()
    for line in lane._trace.read_text().splitlines():
        counts[line.split(maxsplit=1)[0]] += 1
        if file in _subjects(line, root):
            break
    else:
        raise AssertionError(f"no {call} on a {file}: {lane._trace.read_text()}")
    number = counts[line.split(maxsplit=1)[0]]
    options += ["-e", f"inject={call}:error={error}:when={number}"]
    ended = lane._traced(lane.begin(url, [Step("resolve", id, "ours")]), *options)
    failed = [
        line
        for line in lane._trace.read_text().splitlines()
        if f"= -1 {error}" in line and line.endswith("(INJECTED)")
    ]
    assert [True] == [file in _subjects(line, root) for line in failed], failed
    return ended


def _subjects(line: str, root: str) -> list[str]:
    """Return what the files in a line of a trace are in a store."""
    return [_subject(a or b, root) for a, b in _NAMES.findall(line)]


def _subject(path: str, root: str) -> str:
    if not f"{path}/".startswith(f"{root}/"):
        return ""
    parts = path.removeprefix(root).split("/")[1:]
    if len(parts) < 3:
        return ("store", parts[-1] if parts else "", "shard")[len(parts)]
    kind = FileName.of(parts[-1]).kind.name.lower()
    return "temporary file" if kind == "temporary" else kind


@dataclass
class Disk:
    """
    The contents of a disk that writes nothing unless it is told to.

    Attributes:
        names: Directories with names that are not durable, and why.
        bytes: Files with content that is not durable, by the name they got first.
        marks: Temporary names of files that have got their real name.
        has_terms: Whether the store was seen to get the format that has terms.
        broken: What was wrong, in words.
    """

    names: dict[str, str] = field(default_factory=dict)
    bytes: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    has_terms: bool = False
    broken: list[str] = field(default_factory=list)
    _written: set[str] = field(default_factory=set)
    _marked: set[str] = field(default_factory=set)
    _dated: set[str] = field(default_factory=set)

    def follow(self, trace: Iterable[str]) -> None:
        """Follow the calls of a process up to its end."""
        for line in trace:
            if match := _LINE.match(line):
                names = [a or b for a, b in _NAMES.findall(match["given"])]
                if match["call"] == "write" and OVER.date().isoformat() in line:
                    self._dated.add(names[0])
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
                if new.endswith(".terms.json"):
                    # Its marker, and what keeps old versions out.
                    stem = os.path.basename(new).removesuffix(".terms.json")
                    self._nothing_is_open(f"{new} was named", stem)
                    if old in self._dated and stem not in self._marked:
                        self.broken.append(f"{new} was named before its marker")
                    if not self.has_terms:
                        self.broken.append(f"{new} was named in a store of format 1")
                self.names[os.path.dirname(new)] = f"link {new}"
                self.marks.add(old)

    def _rename(self, old: str, new: str) -> None:
        self._link(old, new)
        if new.endswith("/FORMAT"):
            self.names[os.path.dirname(new)] = f"rename {new}"
            self.has_terms = True

    def _openat(self, directory: str, name: str) -> None:
        # A marker is named by its directory; of all else, the writing counts.
        if "/due/" in directory and not name.startswith("/"):
            self.names[directory] = f"marker {name}"
            self._marked.add(name)

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

    def _nothing_is_open(self, what: str, stem: str = "") -> None:
        for directory, why in self.names.items():
            if "/due" in f"{directory} {why}" and stem not in self._marked:
                # Markers are for the terms of their own promise, and for nothing else.
                continue
            self.broken.append(f"{what} before {directory} was fsynced ({why})")


def _is_temporary(path: str) -> bool:
    return os.path.basename(path).startswith(".t-")
