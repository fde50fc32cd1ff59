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
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar, final

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

T = TypeVar("T")

_LOGGER: Final = logging.getLogger(__name__)

_CHANGING: Final = threading.Lock()
"""Held while an observer is added or removed: it is in both lists, or in none."""


def add_observer(observer: Observer) -> None:
    """
    Report operations to *observer* from now on; added twice, twice.

    To a `RequestObserver` requests are reported, too.
    """
    guarded = _Guarded(observer)
    with _CHANGING:
        OBSERVERS.append(guarded)
        if isinstance(observer, RequestObserver):
            REQUEST_OBSERVERS.append(guarded)


def remove_observer(observer: Observer) -> None:
    """Undo one `add_observer`; not an error if there was none."""
    with _CHANGING:
        for guarded in reversed(OBSERVERS):
            if isinstance(guarded, _Guarded) and guarded.observer is observer:
                OBSERVERS.remove(guarded)
                with suppress(ValueError):
                    REQUEST_OBSERVERS.remove(guarded)
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

    def __init__(self, observer: Any) -> None:
        self.observer = observer
        self._failed = self._was_refused = False

    def started(self, event: Started) -> None:
        self._tell(self.observer.started, event)

    def finished(self, event: Finished) -> None:
        self._tell(self.observer.finished, event)

    def request_started(self, event: RequestStarted) -> Mapping[str, str]:
        return self._tell(self._headers, event) or {}

    def request_finished(self, event: RequestFinished) -> None:
        self._tell(self.observer.request_finished, event)

    def _headers(self, event: RequestStarted) -> Mapping[str, str]:
        return dict(self.observer.request_started(event))

    def note_refused(self, name: str, why: str) -> None:
        if not self._was_refused:
            self._was_refused = True
            _LOGGER.error(
                "header %s cannot be sent (%s), for which observer %r asks; its next "
                "ones are not logged",
                quoted(name, 60) if type(name) is str else type(name),
                why,
                self.observer,
            )

    def _tell(self, tell: Callable[[Any], T], event: object) -> T | None:
        try:
            return tell(event)
        except Exception:
            if not self._failed:
                self._failed = True
                _LOGGER.exception(
                    "observer %r failed; its next failures are not logged",
                    self.observer,
                )
            return None


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
