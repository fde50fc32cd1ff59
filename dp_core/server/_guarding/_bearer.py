"""`Bearer`: the token that requests must carry, read again when its file changes."""

from __future__ import annotations

import logging
import os
import time
from hashlib import sha256
from hmac import compare_digest
from typing import Final, TypeAlias, final

from anyio import to_thread

from dp_core._errors import AccessDeniedError
from dp_core._tokens import read_secret_file
from dp_core.server._notices import Notices
from dp_core.server._settings import Settings

__all__ = ["Bearer"]

_LOOK_SECONDS: Final = 1.0
"""The longest time for which a replaced token is good."""

_AGAIN_SECONDS: Final = 0.05
"""The time after which a wrong token makes us look at the file again."""

_Version: TypeAlias = tuple[int, ...]


@final
class Bearer:
    """
    The token of one server, if it has one.

    Attributes:
        asked: Whether requests must carry a token.

    Raises:
        AccessDeniedError: The token's file cannot be read.
    """

    def __init__(self, settings: Settings, notices: Notices) -> None:
        self._file = settings.token_file
        self._notices = notices
        self._version: _Version | None = None
        self._looked = time.monotonic()
        self._hash = b""
        if self._file is not None:
            self._version = _version(self._file)
            self._hash = _hash(read_secret_file(self._file).encode())
        elif settings.token is not None:
            self._hash = _hash(settings.token.encode())
        self.asked = bool(self._hash)

    async def accepts(self, token: bytes) -> bool:
        """Return whether this is the token."""
        await self._look(_LOOK_SECONDS)
        if self._is(token):
            return True
        # The client's may be newer than ours.
        return await self._look(_AGAIN_SECONDS) and self._is(token)

    def _is(self, token: bytes) -> bool:
        # Hashes have one length, so that the time tells nothing.
        return compare_digest(_hash(token), self._hash)

    async def _look(self, seconds: float) -> bool:
        """Look at the file, unless that was done; return whether it has changed."""
        now = time.monotonic()
        if self._file is None or now - self._looked < seconds:
            return False
        self._looked = now
        return await to_thread.run_sync(self._read, self._file)

    def _read(self, file: str) -> bool:
        try:
            version = _version(file)
            if version == self._version:
                return False
            self._hash = _hash(read_secret_file(file).encode())
        except (OSError, ValueError, AccessDeniedError) as error:
            reason = str(error)
            self._notices.tell(
                ("token file",),
                lambda: f"the token stays what it was: {reason}",
                logging.ERROR,
            )
            return False
        self._version = version
        return True


def _version(file: str) -> _Version | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - as the kernel has it
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()
