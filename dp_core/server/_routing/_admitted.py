"""`AdmittedRequest`: a request that was let in, and the channels to its client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from starlette.types import Receive, Scope, Send

from dp_core._access import Access, PublicUrl
from dp_core.server._routing._targets import query_of

__all__ = ["AdmittedRequest"]


@final
@dataclass(frozen=True, slots=True)
class AdmittedRequest:
    """
    A request that was let in.

    Attributes:
        path: Its path below where the app is mounted, percent-encoded.
        parameters: The segments of the path that the endpoint has parameters for,
            percent-encoded.
        headers: Its headers, by their names in lower case.
        body: Its body; empty where the endpoint reads none.
        access: What its sender may do; None where the endpoint asks nobody for a token
            and the server asks for tokens.
        scope: The request, as ASGI has it.
        receive: The ASGI channel, which now only reports that the client went away.
        send: The ASGI channel, for what is answered piece by piece.
        public: Where people see the app, if it was told so.
    """

    path: str
    parameters: tuple[str, ...]
    headers: Mapping[bytes, bytes]
    body: bytes
    access: Access | None
    scope: Scope
    receive: Receive
    send: Send
    public: PublicUrl | None = None

    @property
    def root(self) -> str:
        """The path below which its sender sees the app, decoded; empty for none."""
        if self.public is not None:
            return self.public.root
        return str(self.scope.get("root_path", "")).rstrip("/")

    @property
    def is_over_tls(self) -> bool:
        """Whether its sender sees the app over TLS, which a proxy may have ended."""
        origin = self.headers.get(b"origin", b"")
        if self.scope.get("scheme") == "https" or origin.startswith(b"https:"):
            return True
        # Somebody near may ask without the proxy.
        is_near = origin.startswith(b"http:")
        return self.public is not None and self.public.is_over_tls and not is_near

    @property
    def query(self) -> str:
        """
        The query string.

        Raises:
            ProtocolError: It is not text (400).
        """
        return query_of(self.scope)

    @property
    def prefer(self) -> str:
        """The header ``Prefer``."""
        return self.headers.get(b"prefer", b"").decode("latin-1")
