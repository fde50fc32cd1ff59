"""`RequestWriter`: calls as HTTP requests, with the token."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from anyio import to_thread

from dp_backends.http._url import ServerUrl
from dp_core import AccessDeniedError
from dp_core.wire import Call, prefer_wait, write_call

__all__ = ["RequestWriter"]

_HOW_TO_GIVE_ONE: Final = (
    "set DP_TOKEN to the server's token, or DP_TOKEN_FILE to its file"
)


class RequestWriter:
    """Writes the requests of one handle; the token is read once."""

    def __init__(self, url: ServerUrl) -> None:
        self._url = url
        self._token = os.environ.get("DP_TOKEN", "")
        self._token_file = os.environ.get("DP_TOKEN_FILE", "")
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
        token = self._token
        if not token and self._token_file:
            token = await to_thread.run_sync(_read, self._token_file)
        return f"Host: {self._url.authority}\r\nContent-Type: application/json\r\n" + (
            f"Authorization: Bearer {_checked(token)}\r\n" if token else ""
        )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError as error:
        raise AccessDeniedError(
            f"the token in {path!r} (DP_TOKEN_FILE) cannot be read: "
            f"{error.strerror}; {_HOW_TO_GIVE_ONE}"
        ) from None
    except UnicodeDecodeError:
        raise AccessDeniedError(
            f"the file {path!r} does not hold a valid token; {_HOW_TO_GIVE_ONE}"
        ) from None


def _checked(token: str) -> str:
    # A line end would end the header and start another one.
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise AccessDeniedError(
            f"not a valid token: a header cannot carry it; {_HOW_TO_GIVE_ONE}"
        )
    return token
