"""`Settings`: the rules of one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from dp_core._tokens import check_token
from dp_core.values import MAX_VALUE_BYTES

__all__ = ["Settings"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Rules by which a server treats requests. The defaults suit one user's machine.

    Attributes:
        token: The bearer token that every request must carry; None for no
            token, which is refused where other machines could send requests.
        allowed_hosts: Names, or ``name:port``, by which the server may be
            called besides the loopback names and the address it was reached
            at. Another name in ``Host`` is a DNS rebinding attack.
        allowed_origins: Origins, such as ``https://example.com``, whose pages
            reach the server through a proxy of their own. Pages of any other
            origin are refused; CORS is never granted.
        max_value_bytes: The largest value, in bytes of its JSON text.
        max_waiters: The most requests that may wait at once. More are answered
            503; all other operations stay possible.
        body_seconds: The longest time a request's body may take to arrive,
            after its first piece.
        grace_seconds: The time that running operations get to finish once the
            server was told to stop. Waits are answered at once.
    """

    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_value_bytes: int = MAX_VALUE_BYTES
    max_waiters: int = 10_000
    body_seconds: float = 30.0
    grace_seconds: int = 5

    def __post_init__(self) -> None:
        if self.token is not None:
            check_token(self.token)
