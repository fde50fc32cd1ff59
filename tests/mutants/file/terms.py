"""Mutants of terms: creating, deadlines, markers, sweeping, listing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from dp_backends.file import _publishing, _store
from dp_backends.file._layout import Kind, Place, PromiseFiles
from dp_backends.file._opening import StoreDirectory, _making, _markers, _presence
from dp_backends.file._publishing import Durability
from dp_backends.file._reading import PromiseReader, View
from dp_backends.file._record import Record
from dp_backends.file._registry import Sweeper, _catalog, _sweeping
from dp_backends.file._store import FileStore
from dp_core import Terms
from dp_core.backend import now
from mutants.changes import Change, changed_during
from mutants.file.protocol import nothing
from mutants.file.registry import mutant

_link: Final = _publishing._link
_publish: Final = _publishing.publish
_mark_due: Final = StoreDirectory.mark_due
_first_record: Final = _catalog._first_record


@mutant(seen="caches that compare a time-out with the clock whenever they are asked")
def deadline_only_computed() -> list[Change]:
    """A look says what the deadline settles the promise to, and writes nothing."""

    def look_at(self: FileStore, place: Place, *, whole: bool = False) -> View:
        view = self._look_once(place, whole=whole)
        outcome = view.expiry(now())
        return view if outcome is None else view._replace(state=outcome)

    return [(FileStore, "_look_at", look_at)]


@mutant(seen="programs that take rename(2) for a way to create")
def terms_renamed_into_place() -> list[Change]:
    """The last of those who create at the same time gives the terms."""

    def link(place: Place, record: Record, written: str) -> bool:
        if not isinstance(record.event, Terms):
            return _link(place, record, written)
        os.rename(written, place.terms(record.generation))
        return True

    return [(_publishing, "_link", link)]


@mutant(seen="readers of two files that take them for one snapshot")
def terms_beside_an_earlier_state() -> list[Change]:
    """A look takes no notice of an outcome that came before the terms."""
    never = (os.path, "lexists", lambda path: False)
    return changed_during((PromiseReader, "_view_of"), never)


@mutant(seen="pages that are ordered by the last change")
def ordered_by_the_last_change() -> list[Change]:
    """The place of a promise is that of its outcome, once it is settled."""

    def first_record(files: PromiseFiles, records: Any, *, has_head: bool) -> Any:
        outcomes = {record for record in records if record[0] is Kind.OUTCOME}
        return _first_record(files, outcomes or records, has_head=has_head)

    return [(_catalog, "_first_record", first_record)]


@mutant(seen="upserts that set created_at anew")
def create_begins_anew() -> list[Change]:
    """A create gives a settled promise a new place in the order of the store."""

    def dated(self: Record, moment: datetime, since: str) -> Record:
        return self._replace(since=self.at)

    return [(Record, "dated", dated)]


@mutant(seen="outboxes that are written after what they announce")
def terms_before_their_marker() -> list[Change]:
    """Terms are published before the marker of their deadline."""
    late: list[tuple[StoreDirectory, str, datetime]] = []

    def mark_due(self: StoreDirectory, stem: str, deadline: datetime) -> None:
        late.append((self, stem, deadline))

    def publish(disk: Durability, root: str, place: Place, record: Record) -> bool:
        done = _publish(disk, root, place, record)
        while late:
            _mark_due(*late.pop())
        return done

    return [(StoreDirectory, "mark_due", mark_due), (_store, "publish", publish)]


@mutant(seen="etcd 6368: the parent directory of a new file was not fsynced")
def hours_not_fsynced() -> list[Change]:
    """The name of an hour's directory is not made durable before terms in it."""
    never = (Durability, "fsync_names", nothing)
    return changed_during((_markers.DueMarkers, "mark"), never)


@mutant(seen="migrations that are not in the transaction with what they are for")
def format_not_raised() -> list[Change]:
    """Terms are written into a store whose format does not say so."""
    return [(StoreDirectory, "take_terms", nothing)]


@mutant(seen="migrations that are acknowledged before they are durable")
def format_raised_without_fsync() -> list[Change]:
    """The format says so, but may not after a power cut."""
    raise_format = _making.raise_format

    class Careless:
        fsync_names = staticmethod(nothing)

    def raised(root: str, durability: Durability) -> None:
        raise_format(root, Careless())  # type: ignore[arg-type] # has what is called

    return [(_presence, "raise_format", raised)]


@mutant(seen="leases that their holder does not look at again")
def creator_trusts_its_marker() -> list[Change]:
    """A creator does not look whether its marker is still there."""
    return [(_markers.DueMarkers, "is_marked", lambda *args: True)]


@mutant(seen="garbage collectors that look once")
def sweeper_trusts_its_look() -> list[Change]:
    """A sweeper that removes a marker does not look for terms again."""
    never = (FileStore, "mark_due", nothing)
    return changed_during((Sweeper, "_drop_if_old"), never)


@mutant(seen="queues with a poisoned message at their head")
def one_failure_stops_a_sweep() -> list[Change]:
    """A sweep ends at the first promise that cannot be settled."""

    def look_at_all(places: Iterable[tuple[FileStore, Place]]) -> list[View]:
        return [store.look_at(place) for store, place in places]

    return [(_sweeping, "look_at_all", look_at_all)]


@mutant(seen="pollers that note what they took before they are done with it")
def unread_markers_forgotten() -> list[Change]:
    """What a sweep that failed has not read is taken for read by the next one."""
    real = Sweeper._read

    def read(self: Sweeper, hour: Any, errors: Any) -> None:
        try:
            real(self, hour, errors)
        except OSError:
            hour.known |= set(os.listdir(hour.path))

    return [(Sweeper, "_read", read)]
