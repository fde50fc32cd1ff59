"""`ServedRequest`: a request to the app, reported to observers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from starlette.types import Message, Scope, Send

from dp_core._observed_requests import NUMBERS, ObservedRequest, RequestStarted

__all__ = ["ServedRequest"]


@final
class ServedRequest:
    """
    A request that observers have been told of.

    Args:
        scope: The request.
        send: The ASGI channel.
        path: Its path below where the app is mounted, percent-encoded.
        route: The path of its endpoint; empty where there is none.
        is_stream: Whether the endpoint answers piece by piece, for as long as it takes.
    """

    def __init__(
        self, scope: Scope, send: Send, *, path: str, route: str, is_stream: bool
    ) -> None:
        self._send = send
        self._is_stream = is_stream
        self._status: int | None = None
        client, server = scope.get("client"), scope.get("server") or ("", None)
        self._observed = ObservedRequest(
            RequestStarted(
                number=next(NUMBERS),
                side="server",
                method=scope["method"],
                route=route,
                path=path,
                scheme=scope.get("scheme", "http"),
                host=str(server[0]),
                # Of a socket of a file it is None, or whatever a server puts there.
                port=server[1] if isinstance(server[1], int) else None,
                peer=str(client[0]) if client else None,
                headers=tuple(_without_tokens(scope)),
            )
        )

    async def send(self, message: Message) -> None:
        """Send a part of the response, and note its status."""
        self._status = message.get("status", self._status)
        is_start = message["type"] == "http.response.start"
        # Some servers begin the next request of the connection inside of the last
        # `send` of this one, where nothing of this one is to be current any more.
        if self._is_stream if is_start else not message.get("more_body", False):
            self._observed.finish(self._status)
        await self._send(message)

    def finish(self) -> None:
        """Report the end; without a response, the client has gone away."""
        self._observed.finish(self._status, cancelled=self._status is None)


def _without_tokens(scope: Scope) -> Iterator[tuple[bytes, bytes]]:
    for name, value in scope["headers"]:
        if (lower := bytes(name).lower()) not in _TOKENS:
            yield lower, value


_TOKENS: Final = (b"authorization", b"cookie", b"proxy-authorization")
"""Headers that have a token in them."""
