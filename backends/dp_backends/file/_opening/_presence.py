"""`StoreDirectory`: the directory of a store, looked at before every operation."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from dp_backends.file._files import explained
from dp_backends.file._opening._finding import Opened, find_store
from dp_backends.file._opening._making import (
    make_store,
    make_whole,
    raise_format,
    shards_changed,
)
from dp_backends.file._opening._markers import DueMarkers
from dp_backends.file._opening._owners import check_parents
from dp_backends.file._publishing import Durability
from dp_core import BackendUnavailableError

__all__ = ["StoreDirectory"]


class StoreDirectory:
    """
    A directory that may be made, removed, replaced or repaired at any time.

    Where it is another one than before, or an fsync failed, it is opened anew, as a new
    process would. No lock: any number of processes may do this, and so may threads; a
    lock would hang a child that was forked while it was held.

    Attributes:
        root: Its path, absolute.
        opened: The store as it was found when it was last opened; None before that.
        markers: Say which promises have a deadline in which hour.
    """

    def __init__(self, root: str, durability: Durability) -> None:
        self.root = root
        self.opened: Opened | None = None
        self._durability = durability
        self.markers = DueMarkers(root, durability)

    def is_there(self) -> bool:
        """
        Tell whether there is a store, opened or opened anew.

        Raises:
            AccessDeniedError: It belongs to somebody else, or may have been put there
                by somebody else.
            BackendUnavailableError: It was there, and is gone; or not a store is there.
        """
        before = self.opened
        if before is not None and self._is_as_before(before):
            return True
        found = find_store(self.root, self._durability)
        if found is not None:
            if before is not None and before.identity != found.identity:
                with explained(f"open the store {self.root}"):
                    check_parents(self.root)
            self.opened = found
            return True
        if before is not None:
            raise BackendUnavailableError(
                f"the store {self.root} is gone; was its directory removed?"
            )
        return False

    def _is_as_before(self, opened: Opened) -> bool:
        try:
            status = os.stat(self.root)
        except OSError:
            return False
        return (
            (status.st_dev, status.st_ino) == opened.identity
            and opened.failures == self._durability.failures
            and (status.st_mode, status.st_uid) == opened.owned
        )

    def make(self) -> None:
        """Make the store if it is not there; see `make_store` for its errors."""
        if not self.is_there():
            self.opened = make_store(self.root, self._durability)

    def make_whole(self) -> None:
        """Make sure that all of the store is there, and that its names are durable."""
        opened = self.opened
        with explained(f"write a promise in {self.root}"):
            if opened is not None and opened.shards is not None:
                with suppress(FileNotFoundError):
                    if opened.shards == shards_changed(self.root):
                        return
            shards = make_whole(self.root, self._durability)
        if opened is not None:  # pragma: no branch - who writes has opened it
            # It may be another store by now, with a name that says something else.
            self.opened = replace(opened, shards=shards, takes_terms=False)

    def take_terms(self) -> None:
        """Make sure that the store says, durably, that it has terms."""
        opened = self.opened
        if opened is not None and not opened.takes_terms:
            with explained(f"write a promise in {self.root}"):
                raise_format(self.root, self._durability)
            self.opened = replace(opened, takes_terms=True)

    def mark_due(self, stem: str, deadline: datetime) -> None:
        """Say, durably, that a generation has a deadline; see `DueMarkers.mark`."""
        with explained(f"write a promise in {self.root}"):
            self.markers.mark(stem, deadline)

    def doubt(self) -> None:
        """See to it that the store is opened anew, and made whole by whoever writes."""
        if self.opened is not None:  # pragma: no branch - who writes has opened it
            self.opened = replace(self.opened, failures=-1)
