"""`RequestWriter`: HTTP requests, with the token."""

from __future__ import annotations

from collections.abc import Mapping

from dp_backends.http._url import ServerUrl
from dp_core import AccessDeniedError
from dp_core.backend import TOKEN_ADVICE, in_thread, token_from_environment
from dp_core.wire import prefer_wait

__all__ = ["RequestWriter"]


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

    async def write(  # noqa: PLR0913 - the parts of a request
        self,
        path: str,
        body: bytes,
        *,
        method: str = "POST",
        wait: int | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """
        Return a request, ready to be sent.

        Args:
            path: Its path, percent-encoded, with its query.
            body: Its body.
            method: Its method.
            wait: How long the server may hold its response, in seconds.
            key: The key of this wait, the same each time it is repeated. Restate
                then goes on with the wait that it has, instead of beginning
                another one (draft-ietf-httpapi-idempotency-key-header).
            headers: Others, as `ObservedRequest.headers` has them: checked, and none of
                those that are written here.

        Raises:
            AccessDeniedError: The token cannot be read, or be sent.
        """
        if not self.credentials:
            self.credentials = await self._read_headers()
        prefer = "" if wait is None else f"Prefer: {prefer_wait(wait)}\r\n"
        again = "" if key is None else f"Idempotency-Key: {key}\r\n"
        lines = [f"{name}: {value}\r\n" for name, value in (headers or {}).items()]
        head = (
            f"{method} {self._url.prefix}{path} HTTP/1.1\r\n"
            f"{self.credentials}{prefer}{again}{''.join(lines)}"
            f"Content-Length: {len(body)}\r\n\r\n"
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
