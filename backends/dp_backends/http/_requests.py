"""`RequestWriter`: calls as HTTP requests, with the token."""

from __future__ import annotations

from anyio import to_thread

from dp_backends.http._url import ServerUrl
from dp_core import AccessDeniedError
from dp_core.backend import TOKEN_ADVICE, token_from_environment
from dp_core.wire import Call, prefer_wait, write_call

__all__ = ["RequestWriter"]


class RequestWriter:
    """Writes the requests of one handle; the token is read once."""

    def __init__(self, url: ServerUrl) -> None:
        self._url = url
        self._headers = ""

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
        if not self._headers:
            self._headers = await self._read_headers()
        path, body = write_call(call, in_path=in_path)
        prefer = "" if wait is None else f"Prefer: {prefer_wait(wait)}\r\n"
        again = "" if key is None else f"Idempotency-Key: {key}\r\n"
        head = (
            f"POST {self._url.prefix}{path} HTTP/1.1\r\n"
            f"{self._headers}{prefer}{again}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body

    async def _read_headers(self) -> str:
        try:
            token = await to_thread.run_sync(token_from_environment)
        except AccessDeniedError as error:
            raise AccessDeniedError(f"{error.reason}; {TOKEN_ADVICE}") from None
        return f"Host: {self._url.authority}\r\nContent-Type: application/json\r\n" + (
            f"Authorization: Bearer {token}\r\n" if token else ""
        )
