"""
`FileStore`: the protocol by which a directory keeps promises.

Rule 1: a generation's outcome is *one name that is linked once*: link(2) fails
with EEXIST if the name is there, so that the kernel decides who is first.

Rule 2: *visible is not durable*. A name can be read at once, and be gone after
a power cut until its directory was fsynced. So a file keeps a second name, its
temporary one, until then: **a link count above one means "not known durable"**.
A reader of such a file makes it durable before believing it, and removes the
second name. So nothing is ever shown that could still disappear, and a writer
that died in between leaves nothing for others to wait for.

Rule 3: dispose does not unlink, it *begins a new generation*: it replaces the
head (rename(2), durable by rule 2 like everything else), which names the
current generation by a random nonce. Outcomes are found under the name of their
generation, so the former outcome is unreachable from that instant on, for ever:
nonces do not come back, and a head is never removed.

A settle and its crashes, in order:

======================== ==================================================
1 look                   settled already: return that outcome
2 write and fsync a      crash: an orphan for the janitor
  temporary file
3 link it to the         crash: visible; a reader makes it durable.
  outcome's name         Power cut before that: gone, and nobody saw it
4 fsync the directory    durable from here. An error: the outcome is unknown,
                         the second name stays, and this handle opens the
                         store anew, as a new process would
5 unlink the temporary   crash: readers pay one fsync, the first one unlinks.
  name                   This unlink is what wakes the waiters
6 return                 acknowledged
======================== ==================================================

Why a settle need not look at the head again after step 3: if somebody disposed
of the generation in between, and the link succeeded, then that generation was
never settled, and our settle counts as having come just before the disposal,
while we were running. This needs dead outcomes to keep their *names* while such
a settle may be under way (`GRACE`); their content is erased at once.

Every operation begins with a look at the store's directory: it may have been made,
removed, replaced or repaired meanwhile. What a question does not find, it does not
make; the first write makes it.

Everything here blocks; a handle may be used by several threads at once.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from dp_backends.file._files import explained, is_full, read_file, remove
from dp_backends.file._janitor import Janitor
from dp_backends.file._layout import GRACE, Place
from dp_backends.file._listing import places_after
from dp_backends.file._opening import StoreDirectory
from dp_backends.file._publishing import Durability, make_durable, publish
from dp_backends.file._record import FIRST, Record
from dp_core import (
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    OutcomeUnknownError,
    Pending,
    State,
)

__all__ = ["FileStore", "View"]

# Unlike the monotonic clock it goes on while the machine sleeps.
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_log: Final = logging.getLogger("dp_backends.file")


def _now() -> tuple[float, float]:
    return time.clock_gettime(_BOOT_CLOCK), time.time()


@final
@dataclass(frozen=True, slots=True)
class View:
    """
    A promise as one look found it, all of it durable.

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
        durability: Makes durable what is written there.
        janitor: Clears away what nobody needs.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.durability = Durability()
        self.janitor = Janitor(root, self.durability)
        self._directory = StoreDirectory(root, self.durability)
        self._was_missed = False

    @property
    def is_open(self) -> bool:
        """Whether it was found to be a store that we may use, at any time."""
        return self._directory.opened is not None

    @property
    def is_remote(self) -> bool:
        """Whether other machines may change it, as far as is known."""
        opened = self._directory.opened
        return opened is not None and opened.is_remote

    @property
    def identity(self) -> tuple[int, int] | None:
        """The directory that the path led to when the store was last opened."""
        opened = self._directory.opened
        return opened and opened.identity

    def open(self) -> None:
        """Make the store if it is not there; raises as `StoreDirectory.make` does."""
        self._directory.make()

    def is_made(self) -> bool:
        """Tell whether there is a store; raises as `StoreDirectory.is_there` does."""
        # Who asks is told, and needs no warning besides.
        self._was_missed = True
        return self._directory.is_there()

    def place(self, id: str) -> Place:
        """Return where the files of a promise are."""
        return Place.of(self.root, id)

    def look(self, id: str) -> View:
        """Do what `look_at` does, for a caller that has only the id."""
        return self.look_at(self.place(id))

    def look_at(self, place: Place) -> View:
        """
        Return the promise's generation and state, durable.

        Raises:
            CorruptPromiseError: The stored record is damaged.
            BackendError: The store could not be read.
        """
        view = self._look_at(place)
        if not self.is_open and not self._was_missed:
            self._was_missed = True
            # For who looks into the log; the program `dp` says it by itself.
            _log.info("there is no store of promises at %s yet", self.root)
        return view

    def _look_at(self, place: Place) -> View:
        with explained(f"read a promise in {self.root}"):
            if self._directory.is_there():
                try:
                    return self._look_inside(place)
                except FileNotFoundError:
                    # Of the store, or only its shard? That is for a writer to make.
                    if not os.path.lexists(f"{self.root}/p"):
                        self._directory.doubt()
                    self._directory.is_there()
            return View(FIRST, Pending())

    def _look_inside(self, place: Place) -> View:
        while True:
            generation = self._generation(place)
            state: State[bytes] | CorruptPromiseError
            try:
                state = self._state(place, generation)
            except CorruptPromiseError as error:
                state = error
            # Only a living generation's file means anything: a dead one
            # is erased, and may even be written by a settle that is late.
            # And a head that was just replaced has lost a name by that,
            # so that its link count says nothing about its durability.
            if isinstance(state, Pending) and generation == FIRST:
                return View(generation, state)
            if self._generation(place) != generation:
                continue
            if isinstance(state, CorruptPromiseError):
                raise state
            return View(generation, state)

    def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        """
        Settle the promise unless it is settled; return its outcome, durable.

        Raises:
            OutcomeUnknownError: It may have been settled by this, or not.
            CorruptPromiseError: The stored record is damaged.
            BackendError: The store could not be read or written; this call did
                not settle the promise.
        """
        place = self.place(id)
        while True:
            started = _now()
            view = self._look_at(place)
            if not isinstance(view.state, Pending):
                return view.state
            record = Record.new(id, view.generation, outcome)
            if self._publish(place, record):
                break
        # Two clocks: one stops while a virtual machine does, one may be set.
        elapsed = max(now - then for now, then in zip(_now(), started, strict=True))
        if elapsed > GRACE / 2 and self._generation_now(place) != view.generation:
            raise OutcomeUnknownError(
                "the promise was disposed of while this process stood still; "
                "repeat the call to learn the outcome"
            )
        remove(place.temporary(record.nonce))
        self.janitor.after_write(place)
        return outcome

    def dispose(self, id: str) -> None:
        """
        Begin the id's next generation, durable.

        Raises:
            OutcomeUnknownError: It may have been disposed of, or not.
            BackendError: The store could not be written; nothing has changed.
        """
        place = self.place(id)
        while True:
            try:
                generation = self._generation_now(place)
            except CorruptPromiseError:
                # Whichever generation a damaged head named, its successor buries it;
                # of those that are dead, the first one certainly is.
                generation = FIRST
            record = Record.new(id, generation, None)
            if self._publish(place, record):
                break
        with suppress(OSError):
            self.janitor.erase(place, record.generation)
        remove(place.temporary(record.nonce))
        self.janitor.after_disposal(place)

    def settled(
        self, after: str | None, limit: int
    ) -> list[tuple[str, Outcome[bytes] | BackendError]]:
        """
        Return settled promises; see `dp_core.backend.Listable`.

        Raises:
            BackendError: The store could not be read.
        """
        if not self._directory.is_there():
            return []
        found: list[tuple[str, Outcome[bytes] | BackendError]] = []
        with explained(f"list the promises in {self.root}"):
            for place in places_after(self.root, after):
                state: State[bytes] | BackendError
                try:
                    state = self.look_at(place).state
                except CorruptPromiseError as error:
                    state = error.with_traceback(None)
                if not isinstance(state, Pending):
                    found.append((place.id, state))
                if len(found) == limit:
                    break
        return found

    def _publish(self, place: Place, record: Record) -> bool:
        """Do what `publish` does, in a store and a shard that are there."""
        if not self.is_open:
            self.open()
        try:
            self._directory.make_whole()
            if publish(self.durability, self.root, place, record):
                return True
            if not os.path.isdir(place.shard):
                self._directory.doubt()
        except BackendUnavailableError as error:
            if not (is_full(error) and self.janitor.make_room()):
                raise
        # Begin anew, with the room that was made, or what was missing.
        return False

    def _generation_now(self, place: Place) -> str:
        with explained(f"read a promise in {self.root}"):
            return self._generation(place) if self._directory.is_there() else FIRST

    def _generation(self, place: Place) -> str:
        head = self._read(place, place.head)
        if head is None:
            return FIRST
        if head.outcome is not None:
            raise _misplaced(place.head)
        return head.nonce

    def _state(self, place: Place, generation: str) -> State[bytes]:
        path = place.outcome(generation)
        record = self._read(place, path)
        if record is None:
            # Pending, unless it is the shard that is not there.
            os.stat(place.shard)
            return Pending()
        if record.outcome is None or record.generation != generation:
            raise _misplaced(path)
        return record.outcome

    def _read(self, place: Place, path: str) -> Record | None:
        """Return the record at *path*, made durable if it was not known to be."""
        content = read_file(path)
        if content is None:
            return None
        data, links = content
        record = Record.from_bytes(data, path)
        if record.id != place.id:
            raise _misplaced(path)
        if links > 1:
            make_durable(self.durability, place, path, record, data)
        return record


def _misplaced(path: str) -> CorruptPromiseError:
    return CorruptPromiseError(
        f"the record {path} belongs elsewhere; restore it from a backup, or dispose "
        "of the promise"
    )
