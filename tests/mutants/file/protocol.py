"""Mutants of the protocol: durability, atomicity, waiting, getting stuck."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dp_backends._system import _disks, open_inotify, opened_directory
from dp_backends.file import (
    _files,
    _janitor,
    _layout,
    _publishing,
    _reading,
    _store,
)
from dp_backends.file._files import Content
from dp_backends.file._layout import Place
from dp_backends.file._opening import _finding, _making, _markers
from dp_backends.file._publishing import Durability
from dp_backends.file._reading import PromiseReader, View
from dp_backends.file._record import Record
from dp_backends.file._registry import _catalog, _sweeping
from dp_backends.file._store import FileStore
from dp_backends.file._watching import Watcher, _net
from dp_backends.file._watching._reports import KernelReports
from dp_core import BackendUnavailableError, Outcome, Pending, Rejected, Resolved
from mutants.changes import Change
from mutants.file.registry import mutant

__all__ = ["everywhere", "nothing"]

_init: Final = FileStore.__init__
_view: Final = PromiseReader.view
_settle: Final = FileStore.settle
_dispose: Final = FileStore.dispose
_publish: Final = _publishing.publish
_link: Final = _publishing._link
_watcher_look_at: Final = Watcher._look_at


def everywhere(name: str, replacement: object) -> list[Change]:
    """Replace a function of `_files` or `_disks` for all who have imported it."""
    opening = (_finding, _making, _markers)
    registry = (_catalog, _sweeping)
    others = (_disks, _files, _janitor, _layout, _publishing, _reading, _store)
    modules = (*others, *opening, *registry)
    return [(module, name, replacement) for module in modules if hasattr(module, name)]


def nothing(*args: object, **named: object) -> None:
    """Do nothing, whatever is to be done."""


# Durability -----------------------------------------------------------------


def _write_without_fsync(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


@mutant(seen="LevelDB; ext4's zero-length files after rename(2) (LWN 322823)")
def no_file_fsync() -> list[Change]:
    """A record gets its name before its content was fsynced."""
    return everywhere("write_new_file", _write_without_fsync)


@mutant(seen="etcd 6368: the parent directory of a new file was not fsynced")
def no_directory_fsync() -> list[Change]:
    """A name is acknowledged without an fsync of its directory."""
    return [
        (Durability, "fsync_opened", nothing),
        *everywhere("fsync_directory", nothing),
    ]


@mutant(seen="SQLite in WAL mode shows a commit whose writer died before its fsync")
def reader_does_not_help() -> list[Change]:
    """A reader believes a record that is not known to be durable."""

    def read_file(path: str) -> Content | None:
        content = _files.read_file(path)
        return content and (content[0], 1)

    return [(_reading, "read_file", read_file)]


@mutant(seen="stores that call a file durable as soon as it can be seen")
def mark_removed_before_fsync() -> list[Change]:
    """The mark "not known to be durable" goes before the fsync that it stands for."""

    def link(place: Place, record: Record, written: str) -> bool:
        is_free = _link(place, record, written)
        if is_free:
            os.unlink(place.temporary(record.nonce))
        return is_free

    return [(_publishing, "_link", link)]


@mutant(seen="cleaners of temporary files that know of no other use for them")
def janitor_does_not_fsync() -> list[Change]:
    """The janitor clears away an orphan that said "not known to be durable"."""

    class Careless:
        fsync_names = staticmethod(nothing)

    def start(self: FileStore, root: str) -> None:
        _init(self, root)
        janitor: Any = self.janitor
        janitor._durability = Careless()

    return [(FileStore, "__init__", start)]


@mutant(seen="git gc, before it kept what might still be referred to")
def disposal_erases_first() -> list[Change]:
    """The outcome is erased before the head that buries it is durable."""

    def dispose(self: FileStore, id: str) -> None:
        place = self.place(id)
        with suppress(OSError):
            self.janitor.erase(place, self._generation_now(place))
        _dispose(self, id)

    return [(FileStore, "dispose", dispose)]


@mutant(
    seen="stores that delete by unlink(2): the name can come back after a power cut"
)
def disposal_unlinks() -> list[Change]:
    """A disposal removes the outcome, and begins no new generation."""

    def dispose(self: FileStore, id: str) -> None:
        self.open()
        place = self.place(id)
        with _files.explained("dispose"), opened_directory(place.shard) as fd:
            with suppress(FileNotFoundError):
                os.unlink(place.outcome("first"))
            self.durability.fsync_opened(fd)

    return [(FileStore, "dispose", dispose)]


# Atomicity ------------------------------------------------------------------


@mutant(seen="lock files made with open(O_EXCL) that their dead owner leaves empty")
def published_in_place() -> list[Change]:
    """An outcome is written under its final name."""

    def publish(disk: Durability, root: str, place: Place, record: Record) -> bool:
        if not isinstance(record.event, (Resolved, Rejected)):
            return _publish(disk, root, place, record)
        with _files.explained("write"), opened_directory(place.shard) as fd:
            try:
                _files.write_new_file(
                    place.outcome(record.generation), record.to_bytes()
                )
            except FileExistsError:
                return False
            disk.fsync_opened(fd)
        return True

    return [(_store, "publish", publish)]


@mutant(seen="caches that write a file and rename it, so that the last one wins")
def renamed_into_place() -> list[Change]:
    """rename(2) takes the place of link(2), and replaces."""

    def rename_outcome(place: Place, record: Record, written: str) -> bool:
        os.rename(written, place.outcome(record.generation))
        return True

    return [(_publishing, "_link", rename_outcome)]


@mutant(seen="check, then act: CWE-367")
def looked_then_renamed() -> list[Change]:
    """Two who find the name free both take it."""

    def rename_outcome(place: Place, record: Record, written: str) -> bool:
        path = place.outcome(record.generation)
        if os.path.exists(path):
            return False
        os.rename(written, path)
        return True

    return [(_publishing, "_link", rename_outcome)]


@mutant(seen="write-behind: Redis with appendfsync everysec, NATS 2.12")
def acknowledged_first() -> list[Change]:
    """A settle returns before its outcome is durable."""

    def settle(self: FileStore, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        state = self.look(id).state
        if isinstance(state, Pending):
            threading.Thread(target=_settle, args=(self, id, outcome)).start()
            return outcome
        return state

    return [(FileStore, "settle", settle)]


@mutant(seen="stores that answer with what they were given")
def loser_told_its_own() -> list[Change]:
    """A settle that lost the race returns its own outcome."""

    def settle(self: FileStore, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        state = self.look(id).state
        if not isinstance(state, Pending):
            return state
        _settle(self, id, outcome)
        return outcome

    return [(FileStore, "settle", settle)]


@mutant(seen="readers of two files that take them for one snapshot")
def dead_outcome_believed() -> list[Change]:
    """A reader does not check whether the generation has ended meanwhile."""

    def view(self: PromiseReader, place: Place, *, whole: bool = False) -> View:
        generation = self.generation(place)
        return self._view_of(place, generation, whole=whole) or View(
            generation, Pending()
        )

    return [(PromiseReader, "view", view)]


@mutant(seen="readers of a reference count that others may change")
def disposal_shown_too_early() -> list[Change]:
    """The link count of a head that was just replaced is believed."""

    def view(self: PromiseReader, place: Place, *, whole: bool = False) -> View:
        generation = self.generation(place)
        found = self._view_of(place, generation, whole=whole)
        if found is not None and isinstance(found.state, Pending):
            return found
        return _view(self, place, whole=whole)

    return [(PromiseReader, "view", view)]


# Waiting --------------------------------------------------------------------


@mutant(seen="inotify(7), LIMITATIONS AND CAVEATS: scan after adding the watch")
def watched_after_the_look() -> list[Change]:
    """A change between the look and the watch wakes nobody."""
    late: list[tuple[KernelReports, str]] = []

    def watch(self: KernelReports, directory: str) -> bool:
        self._directories[directory] += 1
        self._inotify = self._inotify or open_inotify()
        late.append((self, directory))
        return True

    async def look_at(self: Watcher, batch: list[Any]) -> None:
        await _watcher_look_at(self, batch)
        while late:
            reports, directory = late.pop()
            assert reports._inotify is not None
            reports._inotify.add(directory)

    return [(KernelReports, "watch", watch), (Watcher, "_look_at", look_at)]


@mutant(seen="pub/sub without a second look")
def nobody_listens() -> list[Change]:
    """Waiters look once, and never again."""
    return [(_net, "_NET", (1e9, 1e9)), (Watcher, "_read_events", nothing)]


# Stuck ----------------------------------------------------------------------


@mutant(seen="git: .git/index.lock outlives its owner")
def lock_file() -> list[Change]:
    """Settles exclude each other by a lock that is a file."""

    def settle(self: FileStore, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        self.open()
        lock = Path(f"{self.root}/p/lock")
        for _ in range(100):
            with suppress(FileExistsError):
                lock.touch(exist_ok=False)
                break
            threading.Event().wait(0.005)
        else:
            raise BackendUnavailableError("locked")
        try:
            return _settle(self, id, outcome)
        finally:
            lock.unlink()

    return [(FileStore, "settle", settle)]
