"""`RawClient`: requests as they are, and what was said, for laws of the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, final
from urllib.parse import urlsplit

from anyio import move_on_after

from dp_core.backend import in_thread_apart
from dp_core.testing.kit import LawContext

__all__ = ["Conversation", "RawClient", "WireResponse"]


@final
@dataclass(frozen=True, slots=True)
class WireResponse:
    """
    A response.

    Attributes:
        status: Its status; 0 for none, of which the body says why.
        content_type: Its content type, if it has one.
        body: Its body as text.
    """

    status: int
    content_type: str | None
    body: str

    @property
    def content(self) -> Any:
        """The body's content; the text itself where that is not JSON."""
        try:
            return json.loads(self.body) if self.body else ""
        except ValueError:
            return self.body

    @property
    def is_failure(self) -> bool:
        """Whether the body is a failure in the wire's form."""
        content = self.content
        return (
            isinstance(content, dict)
            and content.get("code") == self.status
            and isinstance(content.get("message"), str)
        )

    def __str__(self) -> str:
        return f"{self.status} {self.body}"


@final
@dataclass(frozen=True, slots=True)
class RawClient:
    """A minimal HTTP client; requests run in threads of their own."""

    url: str
    headers: Mapping[str, str]

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str | None,
        timeout: float,
    ) -> WireResponse | None:
        """Return the response to a request; None if there is none within *timeout*."""
        # A stream that never ends may say something again and again.
        with move_on_after(timeout):
            return await in_thread_apart(
                self._ask, method, path, body, content_type, timeout
            )
        return None

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str | None,
        timeout: float,
    ) -> WireResponse | None:
        parts = urlsplit(self.url)
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = connect(parts.netloc, timeout=timeout)
        headers = dict(self.headers)
        if content_type:
            headers["Content-Type"] = content_type
        try:
            connection.request(method, parts.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            return WireResponse(answer.status, answer.headers["Content-Type"], text)
        except TimeoutError:
            return None
        except (OSError, HTTPException) as error:
            return WireResponse(0, None, f"no answer: {error}")
        finally:
            connection.close()


_AWAY: Final = (0, 502, 503, 504)
"""Statuses of a server, or a gateway, that cannot do it now; 0 for no server."""


class Conversation:
    """
    Requests about promises whose ids start with one prefix, and their log.

    Args:
        client: Who asks.
        context: The law that they are for.

    Attributes:
        prefix: The prefix, for which ``$`` stands in paths and bodies.
        lines: A line for each request.
    """

    def __init__(self, client: RawClient, context: LawContext) -> None:
        self.prefix = context.id("-")
        self.lines: list[str] = []
        self._client = client
        self._log = context.log

    async def ask(
        self,
        method: str,
        path: str,
        request: str | None = None,
        content_type: str | None = None,
        timeout: float = 15.0,
    ) -> WireResponse | None:
        """Return the response to a request; None if there is none within *timeout*."""
        path = path.replace("$", self.prefix)
        if request is not None:
            request = request.replace("$", self.prefix)
        body = None if request is None else request.encode()
        answer = await self._client.ask(method, path, body, content_type, timeout)
        if answer is not None and answer.status in _AWAY:
            self._log.was_away = True
        self.lines.append(f"{method} {path} {request or ''} -> {answer or 'no answer'}")
        return answer
