"""`SentFor`: for whom a request is sent, and what observers are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import anyio

from dp_backends.http._retry import AttemptFailed
from dp_backends.http._url import ServerUrl
from dp_core import BackendUnavailableError
from dp_core.backend import ObservedRequest, observe_request, operation_under_way

__all__ = ["SentFor", "seen"]


@final
@dataclass(frozen=True, slots=True)
class SentFor:
    """
    For whom a request is sent.

    Attributes:
        operations: The operations that wait for it, as `operation_under_way` named
            them; by default that of the caller.
        patience: What ends it when our own time for it is over, which is a failure; all
            else that cancels it is the caller's affair.
    """

    operations: tuple[int | None, ...] | None = None
    patience: anyio.CancelScope | None = None

    def observe(self, url: ServerUrl, method: str, path: str) -> ObservedRequest | None:
        """Report that a request is about to be sent; None if nobody is told."""
        path = path.partition("?")[0]
        operations = self.operations
        return observe_request(
            method=method,
            route=url.prefix + _route(path),
            path=url.prefix + path,
            scheme=url.scheme,
            host=url.host,
            port=url.port,
            operations=(operation_under_way(),) if operations is None else operations,
        )

    def report_unsent(
        self, observed: ObservedRequest, error: BaseException, late: AttemptFailed
    ) -> None:
        """
        Report that a request was not sent.

        Args:
            observed: The request.
            error: What was raised.
            late: The failure, if our own time is over.
        """
        if self.patience is not None and self.patience.cancel_called:
            error = late
        if isinstance(error, Exception):
            observed.finish(error=seen(error))
        else:
            observed.finish(cancelled=True)


def seen(error: BaseException) -> BaseException:
    """Return an error as observers see it: an attempt has none of its own."""
    if isinstance(error, AttemptFailed):
        return BackendUnavailableError(error.reason)
    return error


def _route(path: str) -> str:
    """Return a path of the wire with ``{id}`` in place of an id."""
    first, slash, last = path.rpartition("/")
    return f"/promises/{{id}}{slash}{last}" if first.startswith("/promises/") else path
