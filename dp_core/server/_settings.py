"""What a server's owner decides."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from dp_core._codec import MAX_VALUE_BYTES
from dp_core._errors import AccessDeniedError

__all__ = ["Settings", "read_token_file"]

# A header carries no other characters unchanged (RFC 6750 §2.1).
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_MAX_TOKEN_BYTES: Final = 4096
_ADVICE: Final = (
    "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    How a server treats those who ask. The defaults suit one user's machine.

    Attributes:
        token: The bearer token every request must carry; None for no token,
            which is refused where other machines could ask.
        allowed_hosts: Names, or ``name:port``, by which the server may be
            called besides the loopback names and the address it was reached
            at. Another name in ``Host`` is a DNS rebinding attack.
        allowed_origins: Origins, such as ``https://example.com``, whose pages
            reach the server through a proxy of their own. Pages of any other
            origin are refused; CORS is never granted.
        max_value_bytes: The largest value, in bytes of its JSON text.
        max_waiters: How many requests may wait at once. More are told to come
            back later; all other operations stay possible.
        body_seconds: How long a request's body may take to arrive, after its
            first piece.
        grace_seconds: How long a server that was told to stop lets running
            operations finish. Waiters are answered at once.
    """

    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_value_bytes: int = MAX_VALUE_BYTES
    max_waiters: int = 10_000
    body_seconds: float = 30.0
    grace_seconds: int = 5

    def __post_init__(self) -> None:
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise AccessDeniedError(
                "a token is visible ASCII characters, one at least, without "
                f"spaces; {_ADVICE}"
            )


def read_token_file(path: str) -> str:
    """
    Return the token that a file holds, if nobody else can read or write it.

    Raises:
        AccessDeniedError: The file cannot be read, belongs to another user,
            is open to others (``chmod 600`` it), or holds no token.
    """
    try:
        with Path(path).open("rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(_MAX_TOKEN_BYTES)
    except OSError as error:
        raise AccessDeniedError(
            f"the token file {path!r} cannot be read: {error.strerror}"
        ) from None
    if found.st_uid not in (os.geteuid(), 0):
        raise AccessDeniedError(f"the token file {path!r} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise AccessDeniedError(
            f"the token file {path!r} is open to other users; chmod 600 it"
        )
    token = text.decode("ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise AccessDeniedError(f"the token file {path!r} holds no token; {_ADVICE}")
    return token
