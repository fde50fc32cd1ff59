"""`Session`: a connection with a database, as the worker of a store uses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime

from dp_backends.sql._rows import Change, PromiseRow
from dp_core import BackendError

__all__ = ["Failure", "Session"]


class Failure(Exception):  # noqa: N818 - always caught here, an error is made from it
    """
    The database could not do something.

    Attributes:
        error: What the callers are told where nothing was changed.
        is_unknown: Whether it may have been done all the same.
        is_passing: Whether to try again, in another session, as long as the callers
            have patience.
        breaks: Whether this session is of no use any more.
        may_be_of_one: Whether one of several calls may be at fault, and not the others.
    """

    def __init__(
        self,
        error: BackendError,
        *,
        is_unknown: bool = False,
        is_passing: bool = False,
        breaks: bool = False,
        may_be_of_one: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.is_unknown = is_unknown
        self.is_passing = is_passing
        self.breaks = breaks or is_passing
        self.may_be_of_one = may_be_of_one


class Session(ABC):
    """
    One connection, used by one thread at a time. All methods raise `Failure`.

    Between calls it is in no transaction, so that nobody is held up by it.

    Attributes:
        closes_at_fork: Whether it is to be closed before the process forks.
    """

    closes_at_fork = False

    @abstractmethod
    def read(self, ids: Collection[bytes]) -> tuple[datetime, dict[bytes, PromiseRow]]:
        """
        Return the time by the store's clock, and the rows of promises.

        A promise without a row has that of `absent`. The time is not later than the
        rows are.
        """

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction that writes; makes the store if there is none."""

    @abstractmethod
    def write(self, changes: Sequence[Change]) -> dict[bytes, PromiseRow]:
        """
        Make changes of different rows, with the tags that these are found by.

        Returns:
            The rows that were changed, as they are now; without those that somebody
            else had changed since they were read.
        """

    @abstractmethod
    def commit(self) -> None:
        """Commit the transaction; durable when this returns."""

    @abstractmethod
    def rollback(self) -> None:
        """Undo the transaction, if there is one."""

    @abstractmethod
    def make_durable(self, rows: Collection[PromiseRow]) -> None:
        """Return when rows that were read cannot vanish any more."""

    @abstractmethod
    def ring(self) -> None:
        """Let all who wait for a change know that there is one; may fail silently."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; may be repeated, and does not raise."""
