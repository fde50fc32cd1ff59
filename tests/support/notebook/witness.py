"""
`Witness`: what the operating system knows of the processes of a notebook.

It looks at ``/proc`` again and again, from outside of the notebook's kernel. A process
takes hundreds of milliseconds to start, so that none can come and go between two
looks. How each ended is what the kernel told its parent (wait(2)).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Final

__all__ = ["Seen", "Witness"]

_LOOK: Final = 0.02
_NAME: Final = b"DP_NOTEBOOK_PROCESS="
_SITE: Final = Path(__file__).parent / "wait_status"


@dataclass
class Seen:
    """
    One process, as it was seen.

    Attributes:
        name: What its environment calls it.
        pid: Its number.
        ticks: When it started, by the kernel's clock.
        first: The look at which it was first seen.
        gone: The look at which it was first seen to be gone; 0 if never.
    """

    name: str
    pid: int
    ticks: int
    first: int
    gone: int = 0


@dataclass
class Witness:
    """
    The processes that children of this one have started.

    Attributes:
        directory: For a file of its own.
        seen: By pid; the notebooks' own kernels are not among them.
        looks: The number of looks so far.
    """

    directory: Path
    seen: dict[int, Seen] = field(default_factory=dict)
    looks: int = 0

    @property
    def env(self) -> Mapping[str, str]:
        """The environment in which a notebook writes down wait statuses."""
        return {"PYTHONPATH": str(_SITE), "DP_WAIT_STATUS": str(self._file)}

    @property
    def _file(self) -> Path:
        return self.directory / "wait-status"

    @property
    def statuses(self) -> dict[int, int]:
        """Wait statuses, by pid; also of other children of the notebook."""
        if not self._file.exists():
            return {}  # No child has ended.
        lines = self._file.read_text("ascii").splitlines()
        return {int(pid): int(status) for pid, status in map(str.split, lines)}

    @contextmanager
    def watching(self) -> Iterator[Witness]:
        """Look while the block runs."""
        over = Event()

        def watch() -> None:
            while not over.is_set():
                self._look()
                over.wait(_LOOK)

        thread = Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def named(self, name: str) -> list[Seen]:
        """Return the processes of a name, in the order in which they started."""
        found = (one for one in self.seen.values() if one.name == name)
        return sorted(found, key=lambda one: one.ticks)

    def _look(self) -> None:
        self.looks += 1
        alive = set()
        for kernel in _children(os.getpid()):
            for pid in _children(kernel):
                with suppress(OSError):
                    state, ticks = _stat(pid)
                    if state in "ZX":
                        continue
                    alive.add(pid)
                    if pid not in self.seen and (name := _name(pid)):
                        self.seen[pid] = Seen(name, pid, ticks, self.looks)
        for one in self.seen.values():
            if not one.gone and one.pid not in alive:
                one.gone = self.looks


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text("ascii").split())
    return found


def _stat(pid: int) -> tuple[str, int]:
    """Return the state of a process, and when it started (proc(5))."""
    _, _, fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")
    words = fields.split()
    return words[0], int(words[19])


def _name(pid: int) -> str:
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    names = [v.removeprefix(_NAME) for v in variables if v.startswith(_NAME)]
    return names[0].decode() if names else ""
