"""
`PromiseReader`: one look at the files of a promise, all of which is durable.

What is found is made durable before it is believed (rule 2 of `_store`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, final

from dp_backends._working import Rounds
from dp_backends.file._files import read_file
from dp_backends.file._layout import Place
from dp_backends.file._publishing import Durability, make_durable
from dp_backends.file._record import FIRST, Record
from dp_core import (
    SETTLED,
    BackendError,
    CorruptPromiseError,
    Outcome,
    Pending,
    State,
    Terms,
)
from dp_core.backend import expiry

__all__ = ["Known", "PromiseReader", "View", "misplaced"]


@final
@dataclass(frozen=True, slots=True)
class Known:
    """
    A generation that was found pending, kept to see whether that is still so.

    Attributes:
        generation: The id's generation.
        is_created: Whether it had terms, which stand from then on.
    """

    generation: str
    is_created: bool


@final
class View(NamedTuple):
    """
    A promise as one look found it, all of it durable.

    Attributes:
        generation: The id's current generation.
        state: That generation's state.
        terms: Its terms, where they matter or were asked for.
        settled: The record of its outcome.
        created: The record of its terms.
    """

    generation: str
    state: State[bytes]
    terms: Terms[bytes] | None = None
    settled: Record | None = None
    created: Record | None = None

    @property
    def deadline(self) -> datetime | None:
        """When it will be settled by itself, if it is pending."""
        if self.terms is None or not isinstance(self.state, Pending):
            return None
        return self.terms.deadline

    @property
    def known(self) -> Known | None:
        """The part of it to keep, if it is pending."""
        if not isinstance(self.state, Pending):
            return None
        if self == _NOTHING:
            return _NEVER_NAMED
        return Known(self.generation, self.terms is not None)

    def expiry(self, now: datetime) -> Outcome[bytes] | None:
        """Return what its deadline settles it to, if that is over; else None."""
        return expiry(self.terms, now) if isinstance(self.state, Pending) else None


@final
class PromiseReader:
    """
    Reads promises.

    Args:
        durability: Makes durable what is found, and is not known to be.
    """

    def __init__(self, durability: Durability) -> None:
        self._durability: Final = durability

    def view(self, place: Place, *, whole: bool = False) -> View:
        """
        Return what one look finds.

        Args:
            place: The promise.
            whole: Whether to read the terms of a settled promise, too.

        Raises:
            CorruptPromiseError: A stored record is damaged.
            FileNotFoundError: The shard is not there.
            OSError: It could not be read, or made durable.
        """
        rounds = Rounds()
        while True:
            generation = self.generation(place)
            found: View | CorruptPromiseError | None
            try:
                found = self._view_of(place, generation, whole=whole)
            except CorruptPromiseError as error:
                found = error
            # Only a living generation's files mean anything: dead ones are erased,
            # and may even be written by a settle that is late. And a head that was
            # just replaced has lost a name by that, so that its link count says
            # nothing about its durability.
            if found == _NOTHING or (
                found is not None and self.generation(place) == generation
            ):
                break
            if rounds.are_futile(generation):
                raise BackendError(
                    f"the directory {place.shard} has a file named "
                    f"{os.path.basename(place.outcome(generation))}, and none that can "
                    "be opened; look at it, and at the file system"
                )
            rounds.pause()
        if isinstance(found, CorruptPromiseError):
            raise found
        return found

    def is_as_known(self, place: Place, known: Known) -> bool:
        """
        Tell whether a promise is as it was, which costs a fifth of a view.

        No record is read: what is not there needs neither to be parsed nor to be made
        durable, and terms that were seen stand. Raises as `view` does.
        """
        paths = [place.outcome(known.generation)]
        if not known.is_created:
            paths.append(place.terms(known.generation))
        if any(os.path.lexists(path) for path in paths):
            return False
        # It is the shard that may not be there.
        os.stat(place.shard)
        # After the files: if it is alive now, it was when they were not there.
        return self.generation(place) == known.generation

    def generation(self, place: Place) -> str:
        """Return the id's current generation; raises as `view` does."""
        head = self._read(place, place.head)
        if head is None:
            return FIRST
        if head.event is not None:
            raise misplaced(place.head)
        return head.nonce

    def _view_of(self, place: Place, generation: str, *, whole: bool) -> View | None:
        """Return what a generation's files say; None where that was never so."""
        outcome = path = place.outcome(generation)
        settled = self._read_of(place, path, generation)
        state: State[bytes] = Pending()
        if settled is not None:
            if not isinstance(settled.event, SETTLED):
                raise misplaced(path)
            state = settled.event
        created = None
        if settled is None or whole:
            path = place.terms(generation)
            created = self._read_of(place, path, generation)
        if created is None:
            if settled is None:
                # Pending, unless it is the shard that is not there.
                os.stat(place.shard)
            return View(generation, state, settled=settled)
        if not isinstance(created.event, Terms):
            raise misplaced(path)
        if settled is None and os.path.lexists(outcome):
            # The promise may have been settled before it was created.
            return None
        return View(generation, state, created.event, settled, created)

    def _read_of(self, place: Place, path: str, generation: str) -> Record | None:
        record = self._read(place, path)
        if record is not None and record.generation != generation:
            raise misplaced(path)
        return record

    def _read(self, place: Place, path: str) -> Record | None:
        """Return the record at *path*, made durable if it was not known to be."""
        content = read_file(path)
        if content is None:
            return None
        data, links = content
        record = Record.from_bytes(data, path)
        if record.id != place.id:
            raise misplaced(path)
        if links > 1:
            make_durable(self._durability, place, path, record, data)
        return record


_NOTHING: Final = View(FIRST, Pending())
"""The view of a promise that was neither created, settled nor disposed of."""

_NEVER_NAMED: Final = Known(FIRST, is_created=False)
"""The part of that to keep: one for all who wait for such promises."""


def misplaced(path: str) -> CorruptPromiseError:
    """Return the error that says that a record was found where it does not belong."""
    return CorruptPromiseError(
        f"the record {path} belongs elsewhere; restore it from a backup, or dispose "
        "of the promise"
    )
