"""
Secrets that sign tokens: the first one signs, all verify.

So a secret is replaced by putting another before it, and taken away when the last token
that it has signed is over: links live longer than deployments.
"""

from __future__ import annotations

import hmac
import os
from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from dp_core._errors import AccessDeniedError
from dp_core._text import quoted
from dp_core._tokens import read_private_file

__all__ = [
    "check_signing_secrets",
    "read_secrets_file",
    "secrets_file_from_environment",
    "signing_secrets",
    "webhook_keys",
]

MIN_LENGTH: Final = 32
"""The characters of a secret: RFC 7518 §3.2 asks for as many bytes as the hash has."""

_MAX_BYTES: Final = 64 * 1024
_MAKE_ONE: Final = (
    "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
)


def secrets_file_from_environment(file: str | None = None) -> str | None:
    """
    Return the file that holds the secrets, or None.

    Args:
        file: A file that the command line names; it comes before ``DP_SECRET_FILE``.
    """
    return (os.environ.get("DP_SECRET_FILE") or None) if file is None else file


def signing_secrets(file: str | None = None) -> tuple[str, ...]:
    """
    Return the secrets of this process; the first one signs.

    Args:
        file: As for `secrets_file_from_environment`.

    Raises:
        AccessDeniedError: There is no such file, or as for `read_secrets_file`.
    """
    file = secrets_file_from_environment(file)
    if file is None:
        raise AccessDeniedError(
            "there is no secret to sign with: name the server's file by --secret-file "
            "or DP_SECRET_FILE"
        )
    return read_secrets_file(file)


def read_secrets_file(path: str) -> tuple[str, ...]:
    """
    Return the secrets that a file holds, one a line; blank lines are none.

    Raises:
        AccessDeniedError: The file cannot be read, belongs to another user, is open to
            others, or does not hold secrets.
    """
    shown = f"the secret file {quoted(path, 200)}"
    text = read_private_file(path, shown, _MAX_BYTES)
    return check_signing_secrets(text.splitlines(), shown)


def check_signing_secrets(
    secrets: Iterable[str], source: str = "the secrets"
) -> tuple[str, ...]:
    """
    Return secrets, without those that are blank.

    Args:
        secrets: The secrets.
        source: Where they come from, for the error; they are not shown.

    Raises:
        AccessDeniedError: There is none, or one is too short.
    """
    found = tuple(secret.strip() for secret in secrets if secret.strip())
    if not found:
        raise AccessDeniedError(f"there is no secret in {source}; {_MAKE_ONE}")
    for number, secret in enumerate(found, 1):
        if len(secret) < MIN_LENGTH:
            raise AccessDeniedError(
                f"secret {number} of {source} has fewer than {MIN_LENGTH} characters, "
                f"and would be guessed; {_MAKE_ONE}"
            )
    return found


_WEBHOOK: Final = b"dp webhook v1"


def webhook_keys(secrets: Iterable[str]) -> list[str]:
    """
    Return the keys by which receivers verify callbacks, one for each secret.

    They are as Standard Webhooks writes them. Who has such a key can make no tokens.
    """
    return [
        "whsec_" + b64encode(hmac.digest(secret.encode(), _WEBHOOK, "sha256")).decode()
        for secret in secrets
    ]
