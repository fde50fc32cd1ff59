"""
`WireClient`: calls of one handle to one server, repeated while that is safe.

Repeating is safe where it changes nothing, and for a settle: the first outcome
wins, so a second one changes nothing either. Disposing is another matter: an
outcome may have come in between, and the repetition would dispose of that. So
when it is not known whether the server got a `Dispose`, it is not repeated.
"""

from __future__ import annotations

import logging
from typing import Any, Final, overload

from dp_backends.http._connection import Connection
from dp_backends.http._peer import Peer, interpret
from dp_backends.http._pool import Pool
from dp_backends.http._requests import RequestWriter
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._url import ServerUrl
from dp_core import Outcome, State
from dp_core.backend import visible
from dp_core.wire import Call, Dispose, Peek, Settle

__all__ = ["WireClient"]

_log: Final = logging.getLogger("dp_backends.http")

_IF_UNKNOWN: Final[dict[type[Call], str]] = {
    Settle: "it may have taken effect; repeat it to learn the outcome",
    Dispose: "it may have taken effect; look before you repeat it, because that "
    "would dispose of an outcome that came in between",
}
"""Advice where it is not known whether a call took effect."""


class WireClient:
    """
    Sends calls, and reads what is answered.

    Attributes:
        url: Where the server is.
        pool: The connections to it.
        peer: What is known of it.
    """

    def __init__(self, url: ServerUrl) -> None:
        self.url = url
        self.pool = Pool(url)
        self.peer = Peer()
        self._writer = RequestWriter(url)
        self._outage = False

    @overload
    async def call(self, call: Settle) -> Outcome[bytes]: ...
    @overload
    async def call(self, call: Peek) -> State[bytes]: ...
    @overload
    async def call(self, call: Dispose) -> None: ...
    async def call(self, call: Call) -> Any:
        """
        Make a call, and return the answer.

        Raises:
            DurablePromiseError: The server says so, or there is no time for
                another attempt.
        """
        budget = RetryBudget(self.url.retry)
        attempts = Attempts(_IF_UNKNOWN.get(type(call)))
        while True:
            try:
                return await self.attempt(call, budget)
            except AttemptFailed as failure:
                self.note(failure, attempts)
            if attempts.unknown and isinstance(call, Dispose):
                raise attempts.error()
            await budget.pause(attempts)

    async def attempt(self, call: Call, budget: RetryBudget) -> Any:
        """
        Make a call once.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: The server says so.
        """
        connection = None
        with budget.attempt() as scope:
            # A kept connection may be dying, and then nobody knows whether the
            # request got through.
            connection = await self.send(call, fresh=isinstance(call, Dispose))
            try:
                response = await connection.receive()
            finally:
                self.pool.release(connection)
        if scope.cancelled_caught:
            raise AttemptFailed(
                f"no answer from {self.url} in {self.url.retry:g} s; "
                "set a deadline, or ?retry=SECONDS in its URL, to wait for longer",
                sent=connection is not None,
            )
        return self.read(call, response)

    async def send(
        self,
        call: Call,
        wait: int | None = None,
        key: str | None = None,
        *,
        fresh: bool = False,
    ) -> Connection:
        """
        Send the request of a call, and return where its response will arrive.

        Args:
            call: The call.
            wait: As for `RequestWriter.write`.
            key: As for `RequestWriter.write`.
            fresh: Whether to make a new connection for it.

        Raises:
            AttemptFailed: Not sent; another attempt may succeed.
            BackendError: Not sent, and no attempt will succeed.
        """
        in_path = self.peer.settles_in_path
        request = await self._writer.write(call, wait, key, in_path=in_path)
        return await self.pool.send(request, fresh=fresh)

    def read(self, call: Call, response: HttpResponse) -> Any:
        """Return the answer to a call, and learn from it; raises as `interpret`."""
        answer = interpret(self.url, call, response)
        self.peer = self.peer.after(call, response, answer)
        self._outage = False
        return answer

    def note(self, failure: AttemptFailed, attempts: Attempts) -> None:
        """Count a failure, and log an outage once, whoever meets it."""
        attempts.add(failure)
        # The first failure in a row need not be an outage.
        if attempts.count == 2 and not self._outage:
            self._outage = True
            _log.warning("%s; trying again", visible(attempts.reason))
