"""
The protocol by which a directory keeps promises.

Rule 1: a generation's outcome is *one name that is linked once*: link(2) fails
with EEXIST if the name is there, so that the kernel decides who is first.

Rule 2: *visible is not durable*. A name can be read at once, and be gone after
a power cut until its directory was fsynced. So a file keeps a second name, its
temporary one, until then: **a link count above one means "not known durable"**.
Whoever reads such a file makes it durable before believing it, and removes the
second name. So nothing is ever shown that could still disappear, and a writer
that died in between leaves nothing for others to wait for.

Rule 3: dispose does not unlink, it *begins a new generation*: it replaces the
head (rename(2), durable by rule 2 like everything else), which names the
current generation by a random nonce. Outcomes are found under the name of their
generation, so the former outcome is unreachable from that instant on, for ever:
nonces do not come back, and a head is never removed.

A settle and its crashes, in order:

======================== ==================================================
1 look                   an outcome stands: return it
2 write and fsync a      crash: an orphan for the janitor
  temporary file
3 link it to the         crash: visible; whoever reads it makes it durable.
  outcome's name         Power cut before that: gone, and nobody saw it
4 fsync the directory    durable from here. An error: the outcome is unknown,
                         the second name stays, this handle stops
5 unlink the temporary   crash: readers pay one fsync, the first one unlinks.
  name                   This unlink is what wakes the waiters
6 return                 acknowledged
======================== ==================================================

Why a settle need not look at the head again after step 3: if somebody disposed
of the generation in between, and the link succeeded, then that generation was
never completed, and our completion counts as having come just before the
disposal, while we were running. This needs dead outcomes to keep their *names*
while such a settle may be under way (`_janitor.GRACE`); their content is erased
at once.

Everything here blocks; a handle may be used by several threads at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, final

from dp_backends.file._files import (
    explained,
    fsync,
    opened_directory,
    read_file,
    remove,
    write_new_file,
)
from dp_backends.file._janitor import GRACE, Janitor
from dp_backends.file._layout import Place, is_remote, open_store
from dp_backends.file._listing import ids_after
from dp_backends.file._record import FIRST, Event, Record
from dp_core import (
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    OutcomeUnknownError,
    Pending,
    Rejected,
    Resolved,
    State,
)

__all__ = ["FileStore", "View"]

# Unlike the monotonic clock it goes on while the machine sleeps.
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> tuple[float, float]:
    return time.clock_gettime(_BOOT_CLOCK), time.time()


@final
@dataclass(frozen=True, slots=True)
class View:
    """
    What was there when somebody looked, all of it durable.

    Attributes:
        generation: The id's current generation.
        state: That generation's state.
    """

    generation: str
    state: State[bytes]


class FileStore:
    """
    The promises in one directory.

    Attributes:
        root: The directory, absolute.
        is_open: Whether it was found to be a store that we may use.
        is_remote: Whether other machines may change it, once it is open.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.is_open = False
        self._broken: str | None = None
        self._janitor = Janitor(root, self._fsync)
        self.is_remote = False

    def open(self) -> None:
        """Make the store if it is not there; see `open_store` for its errors."""
        # No lock: any number of processes may do this, and so may threads; a
        # lock would hang a child that was forked while it was held.
        if not self.is_open:
            open_store(self.root)
            with explained(f"open the store {self.root}"):
                self.is_remote = is_remote(self.root)
            self.is_open = True

    def place(self, id: str) -> Place:
        """Return where the files of a promise are."""
        return Place.of(self.root, id)

    def look(self, id: str) -> View:
        """
        Return the promise's generation and state, durable.

        Raises:
            CorruptPromiseError: What is stored is damaged.
            BackendError: The store could not be read.
        """
        self._ready()
        place = self.place(id)
        with explained(f"read a promise in {self.root}"):
            while True:
                generation = self._generation(place, id)
                state: State[bytes] | CorruptPromiseError
                try:
                    state = self._state(place, generation, id)
                except CorruptPromiseError as error:
                    state = error
                # Only a living generation's file means anything: a dead one
                # is erased, and may even be written by a settle that is late.
                # And a head that was just replaced has lost a name by that,
                # so that its link count says nothing about its durability.
                if isinstance(state, Pending) and generation == FIRST:
                    return View(generation, state)
                if self._generation(place, id) != generation:
                    continue
                if isinstance(state, CorruptPromiseError):
                    raise state
                return View(generation, state)

    def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        """
        Complete the promise unless it is complete; return what stands, durable.

        Raises:
            OutcomeUnknownError: It may have been completed, or not.
            CorruptPromiseError: What is stored is damaged.
            BackendError: The store could not be read or written; it was not
                completed by us.
        """
        place = self.place(id)
        while True:
            started = _now()
            view = self.look(id)
            if not isinstance(view.state, Pending):
                return view.state
            record = Record.new(id, view.generation, _event(outcome))
            if self._publish(place, record, record.nonce, _link_outcome):
                break
        # Two clocks: one stops while a virtual machine does, one may be set.
        elapsed = max(now - then for now, then in zip(_now(), started, strict=True))
        if elapsed > GRACE / 2 and self._generation_of(id) != view.generation:
            raise OutcomeUnknownError(
                "the promise was disposed of while this process stood still; "
                "ask again to learn what stands"
            )
        remove(place.temporary(record.nonce))
        self._janitor.after_write(place)
        return outcome

    def dispose(self, id: str) -> None:
        """
        Begin the id's next generation, durable.

        Raises:
            OutcomeUnknownError: It may have been disposed of, or not.
            BackendError: The store could not be written; nothing has changed.
        """
        place = self.place(id)
        try:
            generation = self._generation_of(id)
        except CorruptPromiseError:
            # Whichever generation a damaged head named, its successor buries it;
            # of those that are dead, the first one certainly is.
            generation = FIRST
        record = Record.new(id, generation, None)
        # Not written under the name that marks it: see `_replace_head`.
        self._publish(place, record, token_hex(16), _replace_head)
        with suppress(OSError):
            self._janitor.erase(place, record.generation)
        remove(place.temporary(record.nonce))
        self._janitor.after_write(place)

    def settled(
        self, after: str | None, limit: int
    ) -> list[tuple[str, Outcome[bytes]]]:
        """
        Return settled promises; see `dp_core.backend.Listable`.

        Raises:
            CorruptPromiseError: What is stored is damaged.
            BackendError: The store could not be read.
        """
        self._ready()
        found: list[tuple[str, Outcome[bytes]]] = []
        with explained(f"list the promises in {self.root}"):
            for id in ids_after(self.root, after):
                state = self.look(id).state
                if not isinstance(state, Pending):
                    found.append((id, state))
                if len(found) == limit:
                    break
        return found

    def _publish(
        self,
        place: Place,
        record: Record,
        nonce: str,
        name_it: Callable[[Place, Record, str], bool],
    ) -> bool:
        """
        Write a record, give it its name by *name_it*, and make that durable.

        The temporary name of the record's nonce stays; who calls removes it
        when the rest is done.

        Returns:
            Whether *name_it* said that the name was free.
        """
        written = place.temporary(nonce)
        with (
            explained(f"write a promise in {self.root}"),
            # Opened before anything is visible: nothing but the disk itself
            # can fail between the name and its durability.
            opened_directory(place.shard) as directory,
        ):
            write_new_file(written, record.to_bytes())
            try:
                free = name_it(place, record, written)
            except OSError:
                # Of nothing else is it known that it has no name yet.
                remove(written)
                raise
            if not free:
                remove(written)
                return False
            try:
                self._fsync_directory(directory)
            except OSError as error:
                raise OutcomeUnknownError(
                    f"the disk failed under {self.root} ({error.strerror}); what "
                    "was written may be there or not, ask again to learn what stands"
                ) from error
        return True

    def _generation_of(self, id: str) -> str:
        self._ready()
        with explained(f"read a promise in {self.root}"):
            return self._generation(self.place(id), id)

    def _ready(self) -> None:
        if self._broken is not None:
            raise BackendUnavailableError(self._broken)
        self.open()

    def _generation(self, place: Place, id: str) -> str:
        head = self._read(place, place.head, id)
        if head is None:
            return FIRST
        if head.event is not None:
            raise _misplaced(place.head)
        return head.nonce

    def _state(self, place: Place, generation: str, id: str) -> State[bytes]:
        path = place.outcome(generation)
        record = self._read(place, path, id)
        if record is None:
            # Pending, unless it is the store that is not there.
            os.stat(place.shard)
            return Pending()
        if record.event is None or record.generation != generation:
            raise _misplaced(path)
        return record.event

    def _read(self, place: Place, path: str, id: str) -> Record | None:
        """Return the record at *path*, made durable if it was not known to be."""
        content = read_file(path)
        if content is None:
            return None
        data, links = content
        record = Record.from_bytes(data, path)
        if record.id != id:
            raise _misplaced(path)
        if links > 1:
            self._fsync(place.shard)
            remove(place.temporary(record.nonce))
        return record

    def _fsync(self, directory: str) -> None:
        with opened_directory(directory) as fd:
            self._fsync_directory(fd)

    def _fsync_directory(self, fd: int) -> None:
        try:
            fsync(fd)
        except OSError as error:
            # After a failed fsync the kernel may call lost data written, so
            # that no later success would mean anything.
            self._broken = (
                f"the store {self.root} failed to reach the disk "
                f"({error.strerror}); check the disk, then open the store anew"
            )
            raise


def _event(outcome: Outcome[bytes]) -> Event:
    if isinstance(outcome, Resolved | Rejected):
        return outcome
    raise TypeError(f"not an outcome: {outcome!r}")


def _misplaced(path: str) -> CorruptPromiseError:
    return CorruptPromiseError(
        f"the record {path} belongs elsewhere; restore it from a backup, or dispose "
        "of the promise"
    )


def _link_outcome(place: Place, record: Record, written: str) -> bool:
    """Give an outcome its name, if that is free; the kernel decides."""
    path = place.outcome(record.generation)
    try:
        os.link(written, path)
    except FileNotFoundError:
        # The janitor took it for an orphan: we stood still for that long.
        os.stat(place.shard)
        return False
    except OSError as error:
        if _is_same(written, path):
            return True
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _replace_head(place: Place, record: Record, written: str) -> bool:
    """
    Make a disposal the head, with a second name as the mark.

    The name that moves is the one it was written under. Should the janitor
    take the file for an orphan, it takes both names, so that the move fails,
    or comes before the janitor makes it durable.
    """
    mark = place.temporary(record.nonce)
    try:
        os.link(written, mark)
        os.rename(written, place.head)
    except OSError:
        if _is_same(mark, place.head):
            return True
        remove(mark)
        raise
    return True


def _is_same(temporary: str, path: str) -> bool:
    """
    Tell whether a name was given although the answer was an error.

    Over a network the answer to what succeeded can get lost (open(2), NFS).
    """
    with suppress(OSError):
        return os.path.samefile(temporary, path)
    return False
