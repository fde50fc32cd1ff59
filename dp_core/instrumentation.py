"""
`Observer`: see every operation of every promise, for logs, metrics and traces.

.. code-block:: python

    from dp_core.instrumentation import LoggingObserver, observing

    with observing(LoggingObserver()):
        await promise.resolve("done")   # resolve 'id' at 'memory:': resolved in 0.1 ms

An observer is an object with two methods, ``started`` and ``finished``; the number
in both events pairs them. One that also has the methods of `RequestObserver` receives
the HTTP requests, too; `dp_core.otel` makes spans of all of them.
Observers belong to the process: operations in all threads, tasks and event loops
are reported to all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, final

from dp_core._errors import PromiseRejectedError
from dp_core._observation import (
    OBSERVERS,
    Finished,
    Observer,
    OperationName,
    Started,
)
from dp_core._observed_requests import (
    REQUEST_OBSERVERS,
    RequestFinished,
    RequestObserver,
    RequestStarted,
    sendable,
)
from dp_core._public import publish
from dp_core._text import quoted, shortened, visible, without_password

__all__ = [
    "Finished",
    "LoggingObserver",
    "Observer",
    "OperationName",
    "RequestFinished",
    "RequestObserver",
    "RequestStarted",
    "Started",
    "add_observer",
    "observing",
    "remove_observer",
]

_LOGGER: Final = logging.getLogger(__name__)


def add_observer(observer: Observer) -> None:
    """
    Report operations to *observer* from now on; added twice, twice.

    To a `RequestObserver` requests are reported, too.
    """
    guarded = _Guarded(observer)
    OBSERVERS.append(guarded)
    if isinstance(observer, RequestObserver):
        REQUEST_OBSERVERS.append(_GuardedRequests(guarded, observer))


def remove_observer(observer: Observer) -> None:
    """Undo one `add_observer`; not an error if there was none."""
    for guarded in reversed(OBSERVERS):
        if isinstance(guarded, _Guarded) and guarded.observer is observer:
            OBSERVERS.remove(guarded)
            for requests in REQUEST_OBSERVERS[:]:
                if isinstance(requests, _GuardedRequests) and requests.of is guarded:
                    REQUEST_OBSERVERS.remove(requests)
            return


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Report operations to *observer* while the block runs."""
    add_observer(observer)
    try:
        yield
    finally:
        remove_observer(observer)


@final
class _Guarded:
    """An observer whose exceptions are logged, once, instead of raised."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._failed = False

    def started(self, event: Started) -> None:
        try:
            self.observer.started(event)
        except Exception as error:  # noqa: BLE001 - it is logged
            self.log(error)

    def finished(self, event: Finished) -> None:
        try:
            self.observer.finished(event)
        except Exception as error:  # noqa: BLE001 - it is logged
            self.log(error)

    def log(self, error: Exception) -> None:
        """Log an exception, unless there was one before."""
        if not self._failed:
            self._failed = True
            _LOGGER.error(
                "observer %r failed; its next failures are not logged",
                self.observer,
                exc_info=error,
            )


@final
class _GuardedRequests:
    """The same for requests; with its observer, one exception is logged."""

    def __init__(self, of: _Guarded, observer: RequestObserver) -> None:
        self.of = of
        self._observer = observer

    def request_started(self, event: RequestStarted) -> Mapping[str, str]:
        try:
            headers, refused = sendable(self._observer.request_started(event))
            if refused:
                self.of.log(ValueError(f"headers that cannot be sent: {refused}"))
        except Exception as error:  # noqa: BLE001 - it is logged
            self.of.log(error)
            return {}
        return headers

    def request_finished(self, event: RequestFinished) -> None:
        try:
            self._observer.request_finished(event)
        except Exception as error:  # noqa: BLE001 - it is logged
            self.of.log(error)


@final
class LoggingObserver:
    """
    Writes one line to a logger for each operation, when it ends.

    Values are not written. Ids, URLs and errors are shortened, a password is left
    out, and characters that could forge other lines are escaped.

    Args:
        logger: Where to write; by default the logger ``dp_core.instrumentation``.
        level: The level of the lines.
    """

    def __init__(
        self, logger: logging.Logger = _LOGGER, level: int = logging.INFO
    ) -> None:
        self._logger = logger
        self._level = level

    def started(self, event: Started) -> None:
        """Write nothing: a line an operation is enough."""

    def finished(self, event: Finished) -> None:
        """Write the line."""
        if self._logger.isEnabledFor(self._level):
            about = f"{event.operation} {quoted(event.id, 60)}" if event.id else ""
            self._logger.log(
                self._level,
                "%s at %s: %s in %.1f ms",
                about or event.operation,
                quoted(without_password(event.url), 60),
                _result(event),
                event.seconds * 1000,
            )


def _result(event: Finished) -> str:
    # The message of a rejection is a value, and that of a cancellation is empty.
    if event.cancelled or isinstance(event.error, PromiseRejectedError | None):
        count = "" if event.count is None else f" {event.count:,}"
        return f"{event.result}{count}"
    reason = visible(without_password(str(event.error)))
    return f"{event.result} ({shortened(reason, 200)})"


publish(__name__, __all__)
