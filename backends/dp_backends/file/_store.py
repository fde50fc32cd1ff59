"""
`FileStore`: the protocol by which a directory keeps promises.

Rule 1: a generation's outcome is *one name that is linked once*: link(2) fails
with EEXIST if the name is there, so that the kernel decides who is first. Its terms
are another such name, so that create and settle do not meet.

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

A create is the same, with terms in the place of the outcome. Before step 2 the store is
made one of format 2, durably, so that a version that ignores terms refuses it; and
where there is a deadline, a marker of it is made durable, so that `sweep` need not read
the whole store. Whoever finds a deadline that is over settles the promise, by the steps
above, and looks again. Whoever settles a promise removes its marker.

Every operation begins with a look at the store's directory: it may have been made,
removed, replaced or repaired meanwhile. What a question does not find, it does not
make; the first write makes it.

Everything here blocks; a handle may be used by several threads at once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from operator import sub
from typing import Final

from dp_backends._working import Rounds
from dp_backends.file._files import explained, is_full, remove
from dp_backends.file._janitor import Janitor
from dp_backends.file._layout import GRACE, Place
from dp_backends.file._opening import StoreDirectory
from dp_backends.file._publishing import Durability, publish
from dp_backends.file._reading import Known, PromiseReader, View
from dp_backends.file._record import FIRST, WITH_TERMS, Record
from dp_core import (
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    OutcomeUnknownError,
    Pending,
    Terms,
)
from dp_core.backend import expiry, now

__all__ = ["FileStore"]

# Unlike the monotonic clock it goes on while the machine sleeps.
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_log: Final = logging.getLogger("dp_backends.file")


def _now() -> tuple[float, float]:
    return time.clock_gettime(_BOOT_CLOCK), time.time()


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
        self._reading: Final = explained(f"read a promise in {root}")
        self.janitor = Janitor(root, self.durability)
        self._directory = StoreDirectory(root, self.durability)
        self._reader = PromiseReader(self.durability)
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

    # Looking ----------------------------------------------------------------

    def look(self, id: str) -> View:
        """Do what `look_at` does, for a caller that has only the id."""
        return self.look_at(self.place(id))

    def look_at(
        self, place: Place, *, whole: bool = False, settling: bool = True
    ) -> View:
        """
        Return the promise's generation and state, durable; settled if it is over.

        Args:
            place: The promise.
            whole: Whether to read the terms of a settled promise, too.
            settling: Whether to settle it if it is over; else ``View.expiry`` says so.

        Raises:
            CorruptPromiseError: The stored record is damaged.
            BackendError: The store could not be read; or it could not be written, and
                the promise's deadline is over.
        """
        look = self._look_at if settling else self._look_once
        view = look(place, whole=whole)
        if not self.is_open and not self._was_missed:
            self._was_missed = True
            # For who looks into the log; the program `dp` says it by itself.
            _log.info("there is no store of promises at %s yet", self.root)
        return view

    def is_as_known(self, place: Place, known: Known) -> bool:
        """
        Tell whether a promise is pending as it was; if not, or in doubt, look at it.

        Raises:
            CorruptPromiseError: The stored record is damaged.
            OSError: It could not be read.
        """
        return self._directory.is_there() and self._reader.is_as_known(place, known)

    def _look_at(self, place: Place, *, whole: bool = False) -> View:
        rounds = Rounds()
        while True:
            view = self._look_once(place, whole=whole)
            outcome = view.expiry(now())
            if outcome is None:
                return view
            record = Record.new(place.id, view.generation, outcome, expired=True)
            if self._publish(place, record):
                remove(place.temporary(record.nonce))
                self._unmark(place, view)
            self._begin_anew(place, rounds, view)

    def _look_once(self, place: Place, *, whole: bool) -> View:
        with self._reading:
            if self._directory.is_there():
                try:
                    return self._reader.view(place, whole=whole)
                except FileNotFoundError:
                    # Of the store, or only its shard? That is for a writer to make.
                    if not os.path.lexists(f"{self.root}/p"):
                        self._directory.doubt()
                    self._directory.is_there()
            return View(FIRST, Pending())

    # Writing ----------------------------------------------------------------

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

        def draft(view: View) -> Record | None:
            if isinstance(view.state, Pending):
                return Record.new(id, view.generation, outcome)
            return None

        view = self._write(place, draft)
        return outcome if isinstance(view.state, Pending) else view.state

    def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """
        Give the promise its terms unless it has some; return those that stand, durable.

        Raises:
            OutcomeUnknownError: They may have been given by this, or not.
            CorruptPromiseError: A stored record is damaged.
            BackendError: The store could not be read or written; this call did not
                give any.
        """
        place = self.place(id)
        given = terms

        def draft(view: View) -> Record | None:
            nonlocal given
            if view.terms is not None:
                return None
            moment = now()
            given = terms.given_at(moment)
            since = "" if view.settled is None else view.settled.at
            return Record.new(id, view.generation, given).dated(moment, since)

        view = self._write(place, draft, whole=True)
        stands = view.terms or given
        if expiry(stands, now()) is not None:
            # They stand, whether their outcome can be written or not.
            with suppress(BackendError):
                self._look_at(place)
        return replace(stands, is_first=view.terms is None)

    def _write(
        self,
        place: Place,
        draft: Callable[[View], Record | None],
        *,
        whole: bool = False,
    ) -> View:
        """
        Publish a record where what a look finds asks for one; return that look.

        Args:
            place: The promise.
            draft: Returns the record, or None where what was found is the answer.
            whole: As for `look_at`.
        """
        rounds = Rounds()
        while True:
            started = _now()
            view = self._look_at(place, whole=whole)
            record = draft(view)
            if record is None:
                return view
            if self._publish(place, record):
                break
            self._begin_anew(place, rounds, view)
        # Two clocks: one stops while a virtual machine does, one may be set.
        elapsed = max(map(sub, _now(), started))
        if elapsed > GRACE / 2 and self._generation_now(place) != view.generation:
            raise OutcomeUnknownError(
                "the promise was disposed of while this process stood still; "
                "repeat the call to learn the outcome"
            )
        remove(place.temporary(record.nonce))
        self._unmark(place, view)
        self.janitor.after_write(place)
        return view

    def _unmark(self, place: Place, view: View) -> None:
        """Remove the marker of what was found pending, and is settled now."""
        if view.deadline is not None:
            stem = place.stem(view.generation)
            self._directory.markers.unmark(stem, view.deadline)

    def dispose(self, id: str) -> None:
        """
        Begin the id's next generation, durable.

        Raises:
            OutcomeUnknownError: It may have been disposed of, or not.
            BackendError: The store could not be written; nothing has changed.
        """
        place, rounds = self.place(id), Rounds()
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
            self._begin_anew(place, rounds, generation)
        with suppress(OSError):
            self.janitor.erase(place, record.generation)
        remove(place.temporary(record.nonce))
        self.janitor.after_disposal(place)

    def _publish(self, place: Place, record: Record) -> bool:
        """Do what `publish` does, in a store and a shard that are there."""
        try:
            self._make_ready(record.form)
            due = None
            if isinstance(record.event, Terms) and record.event.deadline is not None:
                due = place.stem(record.generation), record.event.deadline
                self.mark_due(*due)
            if publish(self.durability, self.root, place, record):
                if due is not None and not self._directory.markers.is_marked(*due):
                    # We stood still, and were taken for dead. The terms stand.
                    with suppress(BackendError):
                        self.mark_due(*due)
                return True
            if not os.path.isdir(place.shard):
                self._directory.doubt()
        except BackendUnavailableError as error:
            if not (is_full(error) and self.janitor.make_room()):
                raise
        # Begin anew, with the room that was made, or what was missing.
        return False

    def _begin_anew(self, place: Place, rounds: Rounds, found: object) -> None:
        """
        Return where another round may find something else.

        Raises:
            BackendError: All of them found the same, and could not write.
        """
        if rounds.are_futile(found):
            raise BackendError(
                f"cannot write a promise in {self.root}: there is no record of it, and "
                f"yet none can be made; look whether {place.shard} is a directory, not "
                "a link, and at the files in it whose names begin with "
                f"{os.path.basename(place.head).partition('.')[0]}"
            )
        rounds.pause()

    def mark_due(self, stem: str, deadline: datetime) -> None:
        """
        Say, durably, that a generation has a deadline.

        Args:
            stem: What its files' names begin with.
            deadline: When it is.

        Raises:
            BackendError: It may be said durably or not.
        """
        self._directory.mark_due(stem, deadline)

    def _make_ready(self, form: int) -> None:
        """Make the store if it is not there, whole, and for records of a format."""
        if not self.is_open:
            self.open()
        self._directory.make_whole()
        if form == WITH_TERMS:
            self._directory.take_terms()

    def _generation_now(self, place: Place) -> str:
        with self._reading:
            there = self._directory.is_there()
            return self._reader.generation(place) if there else FIRST
