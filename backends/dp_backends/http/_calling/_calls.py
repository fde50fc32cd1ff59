"""
`Calls`: calls of one handle to one server, repeated while that is safe.

Repeating is safe where it changes nothing, and for a settle: the first outcome
wins, so a second one changes nothing either. Disposing is another matter: an
outcome may have come in between, and the repetition would dispose of that. So
when it is not known whether the server got a `Dispose`, it is not repeated.

A settle whose answer was cut, of a promise that somebody disposes of before it is
repeated, settles the next generation. A key by which a server knew the repetition
would have to be remembered by the store for longer than the generation, through a
restart of the server, which is what cuts most answers; no store here does that.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, overload

from dp_backends.http._calling._batches import Batches
from dp_backends.http._calling._wire_client import WireClient
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._route import Turn
from dp_core import Outcome, PromiseInfo, State, Terms
from dp_core.backend import Page
from dp_core.wire import Call, Create, Dispose, Info, List, Peek, Settle

__all__ = ["Calls"]

_IF_UNKNOWN: Final[dict[type[Call], str]] = {
    Settle: "it may have taken effect; repeat it to learn the outcome",
    Create: "it may have taken effect; repeat it to learn what terms stand",
    Dispose: "it may have taken effect; look before you repeat it, because that "
    "would dispose of an outcome that came in between",
}
"""Advice where it is not known whether a call took effect."""


class Calls:
    """
    Makes calls, together where they come together.

    Args:
        client: By which they are made.
    """

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._batches = Batches(client)

    @overload
    async def call(self, call: Settle) -> Outcome[bytes]: ...
    @overload
    async def call(self, call: Peek) -> State[bytes]: ...
    @overload
    async def call(self, call: Dispose) -> None: ...
    @overload
    async def call(self, call: Create) -> Terms[bytes]: ...
    @overload
    async def call(self, call: Info) -> PromiseInfo[bytes]: ...
    @overload
    async def call(self, call: List) -> Page: ...
    async def call(self, call: Call) -> Any:
        """
        Make a call, and return the answer.

        Raises:
            DurablePromiseError: The server says so, or there is no time for
                another attempt.
        """
        budget = RetryBudget(self._client.url.retry)
        failure: AttemptFailed | None = None
        if not self._client.outage.away:
            try:
                return await self._batches.attempt(call, budget)
            except AttemptFailed as first:
                failure = first
        return await self._repeat(call, budget, failure)

    async def _repeat(
        self, call: Call, budget: RetryBudget, first: AttemptFailed | None
    ) -> Any:
        """Make a call as often as it takes; it may have failed once by now."""
        client = self._client
        attempts = Attempts(_IF_UNKNOWN.get(type(call)))
        ask = partial(self._ask, call, budget, attempts)
        failed = partial(self._failed, call, attempts)
        if first is not None:
            failed(first)
        while True:
            if client.outage.away:
                question = Turn(client.outage, ask, failed, budget, attempts)
                await question.stand_in_line()
                if question.answered:
                    return question.answer()
            if attempts.count:
                await budget.pause(attempts)
            try:
                return await ask()
            except AttemptFailed as failure:
                failed(failure)

    async def _ask(self, call: Call, budget: RetryBudget, attempts: Attempts) -> Any:
        if attempts.count:
            return await self._client.attempt(call, budget)
        return await self._batches.attempt(call, budget)

    def _failed(self, call: Call, attempts: Attempts, failure: AttemptFailed) -> None:
        self._client.note(failure, attempts)
        if attempts.unknown and isinstance(call, Dispose):
            raise attempts.error()
