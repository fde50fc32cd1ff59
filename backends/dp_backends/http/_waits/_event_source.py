"""`EventSource`: the events of one response, as they come."""

from __future__ import annotations

from typing import Final

from dp_backends.http._calling import WireClient
from dp_backends.http._connection import Connection
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed
from dp_core import ProtocolError
from dp_core.wire import EVENT_STREAM, Event, EventDecoder, WatchCall

__all__ = ["EventSource", "NotAStreamError"]

_OK: Final = 200


class NotAStreamError(Exception):
    """
    The response is not an event stream.

    Attributes:
        response: It, whole.
    """

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status)
        self.response = response


class EventSource:
    """
    The events of one response.

    Attributes:
        call: The question.
        connection: Where the response comes; used by one task at a time.
        is_over: Whether the response has come to its proper end.
        early: The events that came before its stream had begun.
    """

    def __init__(
        self, client: WireClient, call: WatchCall, connection: Connection
    ) -> None:
        self.call = call
        self.connection = connection
        self.is_over = False
        self.early: list[Event] = []
        self._client = client
        self._decoder = EventDecoder()

    async def receive(self) -> list[Event]:
        """
        Return the events that come next; when cancelled, it may be called again.

        Raises:
            NotAStreamError: The response is not an event stream.
            AttemptFailed: The connection was cut, or a stranger speaks.
        """
        response = await self._client.receive_some(self.call, self.connection)
        head = response or self.connection.begun
        if head is None:
            return []
        if not _is_stream(head):
            if response is not None:
                raise NotAStreamError(response)
            return []
        # It may go on for hours, for the operations of many.
        self.connection.report(head.status)
        self.is_over = response is not None
        piece = self.connection.take() if response is None else response.body
        try:
            return self._decoder.feed(piece)
        except ProtocolError as error:
            raise AttemptFailed(f"{self._client.url}: {error.reason}") from None

    def close(self) -> None:
        """Give the connection back; before the end of the response, it is cut."""
        self._client.pool.release(self.connection)


def _is_stream(head: HttpResponse) -> bool:
    kind = head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    coding = head.headers.get(b"content-encoding", b"identity").lower()
    return (head.status, kind, coding) == (_OK, EVENT_STREAM.encode(), b"identity")
