"""`ServedRequest`: a request to the app, reported to observers."""

from __future__ import annotations

from typing import final

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
                # Some servers have it as text.
                port=None if server[1] is None else int(server[1]),
                peer=str(client[0]) if client else None,
                headers=tuple((bytes(n).lower(), v) for n, v in scope["headers"]),
                is_stream=is_stream,
            )
        )

    async def send(self, message: Message) -> None:
        """Send a part of the response, and note its status."""
        self._status = message.get("status", self._status)
        await self._send(message)
        if self._is_stream and self._status is not None:
            self._observed.finish(self._status)

    def finish(self) -> None:
        """Report the end; without a response, the client has gone away."""
        self._observed.finish(self._status, cancelled=self._status is None)
