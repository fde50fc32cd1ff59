"""`Response`: an HTTP response, whole; failures in the wire's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, final

from starlette.types import Send

from dp_core._errors import DurablePromiseError
from dp_core.wire import write_error

__all__ = ["HEADERS", "HEADERS_OF_STATUS", "Header", "Response", "json_failure"]

Header: TypeAlias = tuple[bytes, bytes]

HEADERS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of every response that does not have its own of the same name."""

HEADERS_OF_STATUS: Final[Mapping[int, tuple[Header, ...]]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    503: ((b"retry-after", b"1"),),
}
"""Headers that belong to a status."""

_CLOSE: Final = (b"connection", b"close")


@final
@dataclass(frozen=True, slots=True)
class Response:
    """
    An HTTP response, whole.

    Attributes:
        status: Its status.
        body: Its body.
        headers: What its head has besides `HEADERS`, or in place of some of them; in
            lower case.
        media_type: The type of the body. An empty one has none, as the reference does.
    """

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    media_type: bytes = b"application/json"

    def and_close(self) -> Response:
        """Return it as the last response of its connection."""
        if _CLOSE in self.headers:
            return self
        return replace(self, headers=(*self.headers, _CLOSE))

    def allowing(self, methods: Iterable[str]) -> Response:
        """Return it with the methods that may be used in its place (405)."""
        allow = (b"allow", ", ".join(methods).encode())
        return replace(self, headers=(*self.headers, allow))

    async def send(self, send: Send, *, only_head: bool = False) -> None:
        """Send it; without its body where only the head was asked for."""
        own = dict(self.headers)
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            *(header for header in HEADERS if header[0] not in own),
            *self.headers,
        ]
        if self.body:
            headers.append((b"content-type", self.media_type))
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": headers,
            }
        )
        body = b"" if only_head else self.body
        await send({"type": "http.response.body", "body": body})


def json_failure(error: DurablePromiseError) -> Response:
    """Return the response that says *error* to a program."""
    status, body = write_error(error)
    return Response(status, body, HEADERS_OF_STATUS.get(status, ()))
