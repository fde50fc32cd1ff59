"""`Bearer`: the tokens that requests may carry, and what each allows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Final, final

from dp_core._access import (
    EVERYTHING,
    TOKEN_IS_OVER,
    Access,
    read_access,
    read_secrets_file,
)
from dp_core._errors import AccessDeniedError
from dp_core._tokens import read_secret_file
from dp_core.server._guarding._bodies import Headers
from dp_core.server._guarding._replaced_file import (
    AGAIN_SECONDS,
    LOOK_SECONDS,
    ReplacedFile,
)
from dp_core.server._observing import Notices
from dp_core.server._settings import Settings

__all__ = ["Bearer", "bearer_token"]

_MOST_KNOWN: Final = 1000
"""The most signed tokens that are remembered: to check one takes 40 µs."""


def bearer_token(headers: Headers) -> bytes:
    """Return the token that a request has in its head (RFC 6750 §2.1), or nothing."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


@final
class Bearer:
    """
    The tokens of one server.

    Attributes:
        asked: Whether requests must carry one.

    Raises:
        AccessDeniedError: The file of the token, or of the secrets, cannot be read.
    """

    def __init__(self, settings: Settings, notices: Notices) -> None:
        self.asked = settings.asks_for_tokens
        self._token_file: ReplacedFile[bytes] | None = None
        self._secret_file: ReplacedFile[tuple[str, ...]] | None = None
        self._hash = b""
        self._secrets: Sequence[str] = settings.secrets
        if settings.token_file is not None:
            self._token_file = ReplacedFile(
                settings.token_file,
                lambda path: _hash(read_secret_file(path).encode()),
                "token",
                notices,
            )
            self._hash = self._token_file.value
        elif settings.token is not None:
            self._hash = _hash(settings.token.encode())
        if settings.secret_file is not None:
            self._secret_file = ReplacedFile(
                settings.secret_file, read_secrets_file, "secret file", notices
            )
            self._secrets = self._secret_file.value
        self._known: dict[bytes, Access] = {}

    async def access(self, token: bytes) -> Access:
        """
        Return what a token allows.

        Raises:
            AccessDeniedError: It is not a token of this server.
        """
        await self._look(LOOK_SECONDS)
        try:
            return self._find(token)
        except AccessDeniedError:
            # The client's may be newer than ours.
            if not await self._look(AGAIN_SECONDS):
                raise
        return self._find(token)

    async def secrets(self) -> Sequence[str]:
        """Return the secrets that sign; there may be none."""
        await self._look(LOOK_SECONDS)
        return self._secrets

    def _find(self, token: bytes) -> Access:
        hashed = _hash(token)
        # Hashes have one length, so that the time tells nothing.
        if self._hash and compare_digest(hashed, self._hash):
            return EVERYTHING
        known = self._known.get(hashed)
        if known is None:
            known = read_access(token, self._secrets)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[hashed] = known
        elif known.expires is not None and known.expires <= time.time():
            raise AccessDeniedError(TOKEN_IS_OVER)
        return known

    async def _look(self, seconds: float) -> bool:
        """Look at the files; return whether one was replaced."""
        has_changed = False
        if self._token_file is not None and await self._token_file.look(seconds):
            self._hash = self._token_file.value
            has_changed = True
        if self._secret_file is not None and await self._secret_file.look(seconds):
            self._secrets = self._secret_file.value
            # Signed by what may be no secret any more.
            self._known.clear()
            has_changed = True
        return has_changed


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
