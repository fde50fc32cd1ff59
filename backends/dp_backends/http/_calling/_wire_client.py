"""
`WireClient`: one attempt of one call, sent to a server, answered, understood.

What the attempts of a handle learn of its server is here, for all of its calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import anyio

from dp_backends.http._calling._reporting import SentFor, seen
from dp_backends.http._calling._requests import RequestWriter
from dp_backends.http._connection import Connection
from dp_backends.http._peer import (
    OWN_WORDS,
    Peer,
    interpret,
    is_failure_of,
    not_http,
)
from dp_backends.http._pool import Pool
from dp_backends.http._responses import HttpResponse, MalformedResponseError
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._route import Outage, Slices
from dp_backends.http._url import ServerUrl
from dp_core import BackendUnavailableError, DurablePromiseError, State
from dp_core.backend import in_thread, visible
from dp_core.wire import Call, Dispose, List, Peek, write_call

__all__ = ["WireClient", "Written", "off_loop"]

T = TypeVar("T")

_log: Final = logging.getLogger("dp_backends.http")

Written: TypeAlias = tuple[str, bytes]
"""Path and body of a request."""

_CALLER: Final = SentFor()

_UNAUTHORIZED: Final = 401

_LOOK_SECONDS: Final = 5.0
"""The longest time that one look may take, whatever patience the URL has."""


_LONG_BODY_BYTES: Final = 32 * 1024
"""The length from which reading a body takes longer than a hop to a thread."""


async def off_loop(body: bytes, read: Callable[[], T]) -> T:
    """
    Return what is read of a body: in a thread, where it is long.

    A megabyte of small items takes a tenth of a second, for which the whole event loop
    would stand still. Cancelled, it ends first, so that nothing that came is lost.
    """
    if len(body) < _LONG_BODY_BYTES:
        return read()
    with anyio.CancelScope(shield=True):
        result = await in_thread(read)
    return result  # noqa: RET504 - a scope might swallow it, as mypy sees it


class WireClient:
    """
    Sends calls, and reads what is answered.

    Attributes:
        url: Where the server is.
        pool: The connections to it.
        peer: What is known of it.
        outage: Whether it is away.
    """

    def __init__(self, url: ServerUrl) -> None:
        self.url = url
        self.pool = Pool(url)
        self.peer = Peer()
        self.outage = Outage()
        self._writer = RequestWriter(url)
        self._logged = False

    async def look(self, call: Peek) -> State[bytes]:
        """
        Ask once, for who has no time to wait for a server that is away.

        Raises:
            BackendUnavailableError: It did not answer.
            DurablePromiseError: The server says so.
        """
        # One that was kept may have died without a word.
        may_be_dead = self.pool.stats()[1] > 0
        with anyio.move_on_after(_LOOK_SECONDS):
            while True:
                try:
                    state: State[bytes] = await self.attempt(
                        call, RetryBudget(_LOOK_SECONDS)
                    )
                except AttemptFailed as failure:
                    if failure.reached or not may_be_dead:
                        raise BackendUnavailableError(failure.reason) from None
                    may_be_dead = False
                else:
                    return state
        raise BackendUnavailableError(
            f"no answer from {self.url} in {_LOOK_SECONDS:g} s; {self._advice()}"
        )

    async def attempt(
        self,
        call: Call,
        budget: RetryBudget,
        operations: tuple[int | None, ...] | None = None,
    ) -> Any:
        """
        Make a call once; and once more if our token was replaced meanwhile.

        Args:
            call: The call.
            budget: The caller's time.
            operations: As for `SentFor`.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: The server says so, or is not to be asked.
        """
        connection = None
        with budget.attempt() as scope:
            whom = SentFor(operations, scope)
            while True:
                # A kept connection may be dying, and then nobody knows whether the
                # request got through.
                fresh = isinstance(call, Dispose)
                connection = await self.send(call, fresh=fresh, sent_for=whom)
                try:
                    response = await self.receive(call, connection)
                finally:
                    if scope.cancel_called:
                        self.note_silence(connection)
                    self.pool.release(connection)
                if not await self.has_new_token(connection, response):
                    break
        if scope.cancelled_caught:
            raise self.not_answered(sent=connection is not None)
        return await self.read(call, response)

    def not_answered(
        self, *, sent: bool, seconds: float | None = None
    ) -> AttemptFailed:
        """Return the failure of an attempt whose time is over."""
        seconds = self.url.retry if seconds is None else round(seconds, 1)
        return AttemptFailed(
            f"no answer from {self.url} in {seconds:g} s; "
            f"{self._advice()}, or set a deadline, or ?retry=SECONDS in its URL, "
            "to wait for longer",
            sent=sent,
        )

    def note_silence(
        self, connection: Connection, seconds: float | None = None
    ) -> None:
        """Report that we gave up, and not those who wait, unless it has ended."""
        connection.report(error=seen(self.not_answered(sent=True, seconds=seconds)))

    def _advice(self) -> str:
        if self.peer.is_restate:
            return "look whether the service behind Restate runs and is registered"
        return "look whether it does anything, and what it waits for"

    async def send(
        self,
        call: Call,
        wait: int | None = None,
        key: str | None = None,
        *,
        fresh: bool = False,
        sent_for: SentFor = _CALLER,
    ) -> Connection:
        """
        Send the request of a call, and return where its response will arrive.

        Args:
            call: The call.
            wait: As for `RequestWriter.write`.
            key: As for `RequestWriter.write`.
            fresh: Whether to make a new connection for it.
            sent_for: For whom it is sent.

        Raises:
            AttemptFailed: Not sent; another attempt may succeed.
            BackendError: Not sent, and no attempt will succeed.
        """
        path, body = self.written(call)
        method = "GET" if isinstance(call, List) else "POST"
        return await self.send_written(
            path,
            body,
            method=method,
            wait=wait,
            key=key,
            fresh=fresh,
            sent_for=sent_for,
        )

    def written(self, call: Call) -> Written:
        """Return the path and the body of the request that makes a call."""
        return write_call(call, in_path=self.peer.settles_in_path)

    async def send_written(
        self,
        path: str,
        body: bytes,
        *,
        fresh: bool,
        method: str = "POST",
        sent_for: SentFor = _CALLER,
        **fields: Any,
    ) -> Connection:
        """
        Send a request; see `send`.

        Args:
            path: Its path.
            body: Its body.
            fresh: As for `send`.
            method: Its method.
            sent_for: For whom it is sent.
            fields: As for `RequestWriter.write`.
        """
        observed = sent_for.observe(self.url, method, path)
        if observed is not None:
            fields["headers"] = observed.headers
        try:
            request = await self._writer.write(path, body, method=method, **fields)
            credentials = self._writer.credentials
            connection = await self._sent(request, fresh=fresh)
        except BaseException as error:
            if observed is not None:
                late = self.not_answered(sent=False)
                sent_for.report_unsent(observed, error, late)
            raise
        connection.credentials = credentials
        connection.observed = observed
        return connection

    async def _sent(self, request: bytes, *, fresh: bool) -> Connection:
        try:
            return await self.pool.send(request, fresh=fresh)
        except AttemptFailed as failure:
            raise self._weighed(failure) from None

    async def receive(self, call: Call, connection: Connection) -> HttpResponse:
        """
        Return the response to *call*; when cancelled, it may be called again.

        Raises:
            AttemptFailed: There is none; another attempt may succeed.
            BackendError: There is none, and no attempt will succeed.
        """
        while (response := await self.receive_some(call, connection)) is None:
            pass
        return response

    async def receive_some(
        self, call: Call, connection: Connection
    ) -> HttpResponse | None:
        """Return the response if it is whole; see `Connection.receive_some`."""
        try:
            response = await connection.receive_some()
        except AttemptFailed as failure:
            connection.report(error=seen(failure))
            raise self._weighed(failure) from None
        except MalformedResponseError as error:
            known = self.peer.answered
            stranger = not_http(self.url, call, error.reason, known=known)
            connection.report(error=stranger)
            raise stranger from None
        if response is not None:
            connection.report(response.status)
        return response

    def _weighed(self, failure: AttemptFailed) -> Exception:
        """Return a failure, or the error if no other attempt makes sense."""
        if failure.refused:
            server = "Restate" if self.peer.is_restate else "`dp serve` or Restate"
            return AttemptFailed(f"{failure.reason}; is {server} running there?")
        if failure.final and not self.peer.answered:
            return BackendUnavailableError(failure.reason)
        return failure

    async def has_new_token(
        self, connection: Connection, response: HttpResponse
    ) -> bool:
        """
        Whether a request was refused that is to be sent again with another token.

        Raises:
            AccessDeniedError: The token cannot be read.
        """
        if response.status != _UNAUTHORIZED:
            return False
        return await self._writer.has_other(connection.credentials)

    async def read(self, call: Call, response: HttpResponse) -> Any:
        """
        Return the answer to a call, and learn from it; raises as `interpret`.

        It is not cancelled: an answer that came is not lost by it.
        """
        interpret = partial(self._interpret, call, response, self.peer)
        try:
            answer = await off_loop(response.body, interpret)
        except (AttemptFailed, DurablePromiseError) as error:
            self._hear(error)
            if isinstance(error, OWN_WORDS) and is_failure_of(call, response):
                self.meet()
            raise
        return self._understood(call, response, answer)

    def meet(self) -> None:
        """Take note that the server has said what only a server of promises says."""
        self.peer = replace(self.peer, answered=True)

    def _interpret(self, call: Call, response: HttpResponse, peer: Peer) -> Any:
        return interpret(
            self.url,
            call,
            response,
            known=peer.answered,
            could=type(call) in peer.done,
        )

    def _hear(self, error: AttemptFailed | DurablePromiseError) -> None:
        """Take note of a server that answers, though it answers by an error."""
        if not isinstance(error, AttemptFailed) or error.reached:
            self._reached()

    def _understood(self, call: Call, response: HttpResponse, answer: Any) -> Any:
        self.peer = self.peer.after(call, response, answer)
        self._reached()
        return answer

    def _reached(self) -> None:
        self.outage.end()
        self._logged = False

    def learn(self, slices: Slices) -> None:
        """Keep what is known of how long a wait lives."""
        if slices is not self.peer.slices:
            self.peer = replace(self.peer, slices=slices)

    def note(self, failure: AttemptFailed, attempts: Attempts) -> None:
        """Count a failure, and log an outage once, whoever meets it."""
        attempts.add(failure)
        if not failure.reached:
            self.outage.begin(failure.reason)
        # The first failure in a row need not be an outage.
        if attempts.count == 2 and not self._logged:
            self._logged = True
            _log.warning("%s; trying again", visible(attempts.reason))
