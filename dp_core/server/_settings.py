"""`Settings`: the rules of one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

from dp_core._access import check_signing_secrets, read_public_url
from dp_core._tokens import check_secret
from dp_core.values import MAX_VALUE_BYTES

__all__ = ["MAX_SECONDS", "MIN_SECONDS", "Settings"]

MIN_SECONDS: Final = 0.001
"""The shortest time that the HTTP server and the kernel can measure."""

MAX_SECONDS: Final = 1_000_000.0
"""The longest time that a setting may ask for: eleven days."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Rules by which a server treats requests. The defaults suit one user's machine.

    Attributes:
        token: The bearer token that every request must carry; None for no
            token, which is refused where other machines could send requests.
        token_file: A file that holds the token, in its place. A server reads it
            again when it was replaced.
        secrets: Secrets that sign tokens with some rights; the first one signs, all
            verify. Whoever has one has all rights. Each has 32 characters or more.
        secret_file: A file that holds them, one a line, in their place. A server reads
            it again when it was replaced.
        public_url: The URL at which people and programs see the server, where that is
            another than the one it listens at: behind a proxy that ends TLS, or has a
            prefix for it (``https://example.com/dp``), which it may pass on or take
            away. Its host is one of the server's names, pages of its origin are the
            server's own, and cookies and descriptions are for there. What requests
            say in ``Forwarded`` or ``X-Forwarded-…`` counts for nothing.
        allowed_hosts: Names, or ``name:port``, by which the server may be
            called besides the loopback names and the address it was reached
            at. Another name in ``Host`` is a DNS rebinding attack.
        allowed_origins: Origins, such as ``https://example.com``, whose pages may
            send requests; browsers are told so (CORS). Pages of any other origin
            are refused.
        access_log: A file that gets a line for each request; ``-`` for stderr, None for
            none. It is made anew where it was renamed or removed.
        notify_allow: Hosts that callbacks may go to: ``HOST`` or ``HOST:PORT``, which
            may be in a private network, ``*.example.com`` and ``*``, as far as their
            addresses are public. Without any, creates that ask for callbacks are
            refused.
        max_value_bytes: The largest value, in bytes of its JSON text.
        max_waiters: The most requests that may wait at once. For one more, the one
            that has waited longest is answered 503, and may ask again.
        max_watched: The most promises of all event streams together. For more, the
            streams that have been held longest end, and may be asked for again.
        body_seconds: The longest time a request's body may take to arrive.
        idle_seconds: The longest silence of a client between two requests, and the
            longest time the head of one may take. Longer than what a proxy in front
            has for the same, so that it is the proxy who closes.
        send_seconds: The longest time for which a client may read nothing of an
            answer; its connection is aborted then.
        grace_seconds: The time that running operations get to finish once the
            server was told to stop. Waits are answered at once.
    """

    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    secret_file: str | None = None
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    access_log: str | None = None
    notify_allow: tuple[str, ...] = ()
    max_value_bytes: int = MAX_VALUE_BYTES
    max_waiters: int = 10_000
    max_watched: int = 1_000_000
    body_seconds: float = 30.0
    idle_seconds: float = 90.0
    send_seconds: float = 30.0
    grace_seconds: int = 5

    def __post_init__(self) -> None:
        if self.token is not None:
            check_secret(self.token)
        if self.secrets:
            check_signing_secrets(self.secrets)
        if self.public_url is not None:
            read_public_url(self.public_url)
        for name in ("body_seconds", "idle_seconds", "send_seconds"):
            seconds = getattr(self, name)
            if not MIN_SECONDS <= seconds <= MAX_SECONDS:
                raise ValueError(
                    f"{name} is not a valid time: {seconds!r} is not between "
                    f"{MIN_SECONDS:g} and {MAX_SECONDS:,.0f} seconds"
                )

    @property
    def asks_for_tokens(self) -> bool:
        """Whether requests must carry a token."""
        files = (self.token_file, self.secret_file)
        return bool(self.token or self.secrets) or files != (None, None)
