"""`CallbackAttempts`: signed requests, and what the log says of those that failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias, final

from dp_core._access import webhook_keys
from dp_core._clock import now
from dp_core._outbox import named_by
from dp_core._terms import PromiseInfo, Terms, parse_callback_url
from dp_core._text import quoted
from dp_core.server._callbacks._jobs import Job
from dp_core.server._callbacks._rules import Answer
from dp_core.server._callbacks._sending import Sender
from dp_core.server._callbacks._signing import signed_headers
from dp_core.server._observing import Notices
from dp_core.wire import write_info

__all__ = ["CallbackAttempts", "Secrets"]

Secrets: TypeAlias = Callable[[], Awaitable[Sequence[str]]]
"""Returns the secrets whose keys sign."""

_AGENT: Final = "durable-promises"


@final
class CallbackAttempts:
    """
    Attempts to tell receivers what became of promises.

    Args:
        sender: Sends them.
        secrets: The secrets whose keys sign.
        notices: The log.
    """

    def __init__(self, sender: Sender, secrets: Secrets, notices: Notices) -> None:
        self._sender = sender
        self._secrets = secrets
        self._notices = notices

    async def make(
        self, id: str, promise: PromiseInfo[bytes], terms: Terms[bytes]
    ) -> Answer | None:
        """
        Return the receiver's answer; None if there is no secret to sign with.

        Args:
            id: The delivery.
            promise: What is known of its promise.
            terms: The terms of that, which name the delivery.
        """
        secrets = await self._secrets()
        if not secrets:
            self._notices.tell(
                ("callbacks", "secret"),
                lambda: (
                    "callbacks wait: this server has no secret to sign them with; "
                    "see dp serve --secret-file"
                ),
            )
            return None
        body = write_info(replace(promise, terms=replace(terms, notify=())))
        moment = now()
        return await self._sender.post(
            parse_callback_url(named_by(terms)[id]),
            {
                "Content-Type": "application/json",
                "User-Agent": _AGENT,
                **signed_headers(
                    id, int(moment.timestamp()), body, webhook_keys(secrets)
                ),
            },
            body,
        )

    def tell(self, job: Job, what: str, *, is_error: bool = False) -> None:
        """Say in the log why a callback failed."""
        # The rest of the URL may be a secret of the receiver's.
        receiver = quoted(str(job.receiver))
        self._notices.tell(
            # Of a host with many ports, one is told.
            ("callback", job.receiver.host, is_error),
            partial("callback to {} failed: {}".format, receiver, quoted(what, 1000)),
            logging.ERROR if is_error else logging.WARNING,
        )
