"""`Durability`: makes names durable, and stops for ever once that has failed."""

from __future__ import annotations

from dp_backends.file._files import fsync, opened_directory
from dp_core import BackendUnavailableError

__all__ = ["Durability"]


class Durability:
    """
    Durability of the names that one handle writes.

    Args:
        root: The store's directory, for the text of errors.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._failure: str | None = None

    def check(self) -> None:
        """
        Refuse to go on after a failed fsync.

        Raises:
            BackendUnavailableError: Some fsync of this handle has failed.
        """
        if self._failure is not None:
            raise BackendUnavailableError(
                f"the store {self._root} failed to reach the disk "
                f"({self._failure}); check the disk, then open the store anew"
            )

    def fsync_names(self, directory: str) -> None:
        """
        Make the names in a directory durable.

        Raises:
            OSError: They may be durable or not; this handle stops.
        """
        with opened_directory(directory) as fd:
            self.fsync_opened(fd)

    def fsync_opened(self, fd: int) -> None:
        """Do what `fsync_names` does, for a directory that is open."""
        try:
            fsync(fd)
        except OSError as error:
            # The kernel may call lost data written from now on, so that no later
            # success would mean anything (Rebello et al., USENIX ATC 2020).
            self._failure = error.strerror
            raise
