"""`RequestWriter`: calls as HTTP requests, with the token."""

from __future__ import annotations

from typing import Final

from dp_backends.http._url import ServerUrl
from dp_core import AccessDeniedError
from dp_core.backend import TOKEN_ADVICE, in_thread, token_from_environment
from dp_core.wire import Call, List, prefer_wait, write_call

__all__ = ["RequestWriter"]


_METHODS: Final[dict[type[Call], str]] = {List: "GET"}
"""The methods of calls that are not a POST."""


class RequestWriter:
    """
    Writes the requests of one handle.

    Attributes:
        credentials: The lines of a request that have the token, as they are now:
            it is read before the first request, and again when it was refused.
    """

    def __init__(self, url: ServerUrl) -> None:
        self._url = url
        self.credentials = ""

    async def write(
        self,
        call: Call,
        wait: int | None = None,
        key: str | None = None,
        *,
        in_path: bool = False,
    ) -> bytes:
        """
        Return the request that makes *call*, ready to be sent.

        Args:
            call: The call.
            wait: How long the server may hold its response, in seconds.
            key: The key of this wait, the same each time it is repeated. Restate
                then goes on with the wait that it has, instead of beginning
                another one (draft-ietf-httpapi-idempotency-key-header).
            in_path: As for `write_call`.

        Raises:
            AccessDeniedError: The token cannot be read, or be sent.
        """
        if not self.credentials:
            self.credentials = await self._read_headers()
        path, body = write_call(call, in_path=in_path)
        prefer = "" if wait is None else f"Prefer: {prefer_wait(wait)}\r\n"
        again = "" if key is None else f"Idempotency-Key: {key}\r\n"
        head = (
            f"{_METHODS.get(type(call), 'POST')} {self._url.prefix}{path} HTTP/1.1\r\n"
            f"{self.credentials}{prefer}{again}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body

    async def has_other(self, refused: str) -> bool:
        """
        Whether the token is another one than that which was refused.

        Args:
            refused: The `credentials` of the request that was refused.

        Raises:
            AccessDeniedError: The token cannot be read.
        """
        if self.credentials == refused:
            self.credentials = await self._read_headers()
        return self.credentials != refused

    async def _read_headers(self) -> str:
        try:
            token = await in_thread(token_from_environment)
        except AccessDeniedError as error:
            raise AccessDeniedError(f"{error.reason}; {TOKEN_ADVICE}") from None
        # Without the last line, any coding may be used (RFC 9110 §12.5.3).
        return (
            f"Host: {self._url.authority}\r\n"
            "Content-Type: application/json\r\n"
            "Accept: application/json\r\n"
            "Accept-Encoding: identity\r\n"
        ) + (f"Authorization: Bearer {token}\r\n" if token else "")
