"""Mistakes with durability, atomicity and waiting; see `mutants.file.registry`."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dp_backends.file import _files, _janitor, _layout, _store, _watch
from dp_backends.file._files import Content
from dp_backends.file._inotify import open_inotify
from dp_backends.file._layout import Place
from dp_backends.file._record import Record
from dp_backends.file._store import FileStore
from dp_backends.file._watch import Watcher
from dp_core import (
    BackendUnavailableError,
    Outcome,
    Pending,
)

__all__ = ["MISTAKES", "ORIGINAL", "Change", "everywhere", "nothing"]

Change = tuple[object, str, Any]
"""What is replaced, by its owner and name, and by what."""

ORIGINAL: Final = {
    name: getattr(FileStore, name)
    for name in ("__init__", "look", "settle", "dispose", "_publish")
}


def everywhere(name: str, replacement: object) -> list[Change]:
    """Replace a function of `_files` for all who have imported it."""
    modules = (_files, _janitor, _layout, _store)
    return [(module, name, replacement) for module in modules if hasattr(module, name)]


def nothing(*args: object, **named: object) -> None:
    """Do nothing, whatever is to be done."""


# Not made durable -----------------------------------------------------------


def _write_without_fsync(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def no_file_fsync() -> list[Change]:
    """LevelDB, and ext4's zero-length files after rename(2) (LWN 322823)."""
    return everywhere("write_new_file", _write_without_fsync)


def no_directory_fsync() -> list[Change]:
    """As in etcd 6368: the parent directory of a new file was not fsynced."""
    return [
        (FileStore, "_fsync_directory", nothing),
        *everywhere("fsync_directory", nothing),
    ]


def reader_does_not_help() -> list[Change]:
    """SQLite in WAL mode shows a commit whose writer died before its fsync."""

    def read_file(path: str) -> Content | None:
        content = _files.read_file(path)
        return content and (content[0], 1)

    return [(_store, "read_file", read_file)]


def mark_removed_before_fsync() -> list[Change]:
    """A file is called durable as soon as it can be seen."""
    original: Any = _store._link_outcome

    def link_outcome(place: Place, record: Record, *rest: Any) -> bool:
        free: bool = original(place, record, *rest)
        if free:
            os.unlink(place.temporary(record.nonce))
        return free

    return [(_store, "_link_outcome", link_outcome)]


def janitor_does_not_fsync() -> list[Change]:
    """Clearing away an orphan that said "not known to be durable"."""

    def start(self: FileStore, root: str) -> None:
        ORIGINAL["__init__"](self, root)
        self._janitor._make_durable = nothing

    return [(FileStore, "__init__", start)]


def disposal_erases_first() -> list[Change]:
    """As git gc, before it kept what might still be referred to."""

    def dispose(self: FileStore, id: str) -> None:
        place = self.place(id)
        with suppress(OSError):
            self._janitor.erase(place, self._generation_of(id))
        ORIGINAL["dispose"](self, id)

    return [(FileStore, "dispose", dispose)]


def disposal_unlinks() -> list[Change]:
    """A name that is removed can come back after a power cut."""

    def dispose(self: FileStore, id: str) -> None:
        self._ready()
        place = self.place(id)
        with _files.explained("dispose"), _files.opened_directory(place.shard) as fd:
            with suppress(FileNotFoundError):
                os.unlink(place.outcome("first"))
            self._fsync_directory(fd)

    return [(FileStore, "dispose", dispose)]


# Not atomic -----------------------------------------------------------------


def published_in_place() -> list[Change]:
    """open(O_EXCL) on the final name: a lock file that its owner leaves empty."""

    def publish(self: FileStore, place: Place, record: Record, *rest: Any) -> bool:
        if record.event is None:
            done: bool = ORIGINAL["_publish"](self, place, record, *rest)
            return done
        with _files.explained("write"), _files.opened_directory(place.shard) as fd:
            try:
                _files.write_new_file(
                    place.outcome(record.generation), record.to_bytes()
                )
            except FileExistsError:
                return False
            self._fsync_directory(fd)
        return True

    return [(FileStore, "_publish", publish)]


def renamed_into_place() -> list[Change]:
    """rename(2) replaces: the last one wins."""

    def rename_outcome(place: Place, record: Record, *rest: Any) -> bool:
        os.rename(place.temporary(record.nonce), place.outcome(record.generation))
        return True

    return [(_store, "_link_outcome", rename_outcome)]


def looked_then_renamed() -> list[Change]:
    """Check, then act: two who find the name free both take it."""

    def rename_outcome(place: Place, record: Record, *rest: Any) -> bool:
        path = place.outcome(record.generation)
        if os.path.exists(path):
            return False
        os.rename(place.temporary(record.nonce), path)
        return True

    return [(_store, "_link_outcome", rename_outcome)]


def acknowledged_first() -> list[Change]:
    """Write-behind: Redis with ``appendfsync everysec``, NATS 2.12."""

    def settle(self: FileStore, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        state = self.look(id).state
        if isinstance(state, Pending):
            arguments = (self, id, outcome)
            threading.Thread(target=ORIGINAL["settle"], args=arguments).start()
            return outcome
        return state

    return [(FileStore, "settle", settle)]


def loser_told_its_own() -> list[Change]:
    """Who lost the race is told that he won."""

    def settle(self: FileStore, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        state = self.look(id).state
        if not isinstance(state, Pending):
            return state
        ORIGINAL["settle"](self, id, outcome)
        return outcome

    return [(FileStore, "settle", settle)]


def dead_outcome_believed() -> list[Change]:
    """A reader that does not look whether the generation has ended meanwhile."""

    def look(self: FileStore, id: str) -> _store.View:
        self._ready()
        place = self.place(id)
        with _files.explained(f"read a promise in {self.root}"):
            generation = self._generation(place, id)
            return _store.View(generation, self._state(place, generation, id))

    return [(FileStore, "look", look)]


def disposal_shown_too_early() -> list[Change]:
    """The link count of a head that was just replaced proves nothing."""

    def look(self: FileStore, id: str) -> _store.View:
        self._ready()
        place = self.place(id)
        generation = self._generation(place, id)
        if isinstance(self._state(place, generation, id), Pending):
            return _store.View(generation, Pending())
        view: _store.View = ORIGINAL["look"](self, id)
        return view

    return [(FileStore, "look", look)]


# Waiting --------------------------------------------------------------------


def watched_after_the_look() -> list[Change]:
    """Whatever happens between the look and the watch wakes nobody."""
    late: list[tuple[Watcher, str]] = []

    def watch(self: Watcher, directory: str) -> bool:
        self._directories[directory] += 1
        self._inotify = self._inotify or open_inotify()
        late.append((self, directory))
        return True

    async def look_at(self: Watcher, batch: list[Any]) -> None:
        await _original_look_at(self, batch)
        while late:
            watcher, directory = late.pop()
            assert watcher._inotify is not None
            watcher._inotify.add(directory)

    return [(Watcher, "_watch", watch), (Watcher, "_look_at", look_at)]


def nobody_listens() -> list[Change]:
    """Waiters look once, and never again."""
    return [(_watch, "_NET", (1e9, 1e9)), (Watcher, "_read_events", nothing)]


_original_look_at: Final = Watcher._look_at


# Stuck ----------------------------------------------------------------------


def lock_file() -> list[Change]:
    """A lock that is a file outlives its owner: ``.git/index.lock``."""

    def settle(self: FileStore, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self._ready()
        lock = Path(f"{self.root}/p/lock")
        for _ in range(100):
            with suppress(FileExistsError):
                lock.touch(exist_ok=False)
                break
            threading.Event().wait(0.005)
        else:
            raise BackendUnavailableError("locked")
        try:
            stands: Outcome[bytes] = ORIGINAL["settle"](self, id, outcome)
        finally:
            lock.unlink()
        return stands

    return [(FileStore, "settle", settle)]


MISTAKES: Final = (
    no_file_fsync,
    no_directory_fsync,
    reader_does_not_help,
    mark_removed_before_fsync,
    janitor_does_not_fsync,
    disposal_erases_first,
    disposal_unlinks,
    published_in_place,
    renamed_into_place,
    looked_then_renamed,
    acknowledged_first,
    loser_told_its_own,
    dead_outcome_believed,
    disposal_shown_too_early,
    watched_after_the_look,
    nobody_listens,
    lock_file,
)
