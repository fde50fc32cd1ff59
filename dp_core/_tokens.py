"""
Bearer tokens: where they come from, which are valid, and how to get one.

Client, server and conformance kit agree on all of it: ``DP_TOKEN`` is the token;
else ``DP_TOKEN_FILE`` names the file that holds it; else there is none.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from dp_core._errors import AccessDeniedError
from dp_core._text import decode_text, quoted

__all__ = [
    "TOKEN_ADVICE",
    "check_secret",
    "check_token",
    "read_private_file",
    "read_secret_file",
    "read_token_file",
    "token_file_from_environment",
    "token_from_environment",
]

TOKEN_ADVICE: Final = (
    "set DP_TOKEN to the server's token, "  # noqa: S105 - advice, not a token
    "or DP_TOKEN_FILE to its file"
)
"""Advice for a client whose server asks for a token."""

# A header carries no other characters unchanged (RFC 6750 §2.1). Anything else
# could also end the header and start another one.
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_MAX_TOKEN_BYTES: Final = 4096
# NIST SP 800-63B §5.1.1.1: what a verifier makes up by chance has six or more.
_MIN_SECRET_LENGTH: Final = 6
_MAKE_ONE: Final = (
    "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
)


def token_from_environment(file: str | None = None) -> str | None:
    """
    Return the token that this process was given, or None.

    Args:
        file: A file that the command line names; it comes before ``DP_TOKEN``,
            which comes before ``DP_TOKEN_FILE``.

    Raises:
        AccessDeniedError: There is one, and it is not valid or cannot be read.
    """
    if file is None and (token := os.environ.get("DP_TOKEN")):
        return check_token(token, "DP_TOKEN")
    file = token_file_from_environment(file)
    return None if file is None else read_token_file(file)


def token_file_from_environment(file: str | None = None) -> str | None:
    """
    Return the file that holds the token of this process, or None.

    Args:
        file: A file that the command line names.
    """
    if file is not None or os.environ.get("DP_TOKEN"):
        return file
    return os.environ.get("DP_TOKEN_FILE") or None


def check_token(token: str, source: str = "the token") -> str:
    """
    Return *token* if a header can carry it.

    Args:
        token: The token.
        source: Where it comes from, for the error; the token is not shown.

    Raises:
        AccessDeniedError: It is empty, or has a space, a control character or
            a character that is not ASCII.
    """
    if not _TOKEN.fullmatch(token):
        raise AccessDeniedError(
            f"{source} is not a valid token: a token is one or more visible ASCII "
            f"characters without spaces; {_MAKE_ONE}"
        )
    return token


def check_secret(token: str, source: str = "the token") -> str:
    """
    Return *token* if a server may ask for it.

    A client sends whatever it was given; what a server asks for must not be
    guessed.

    Args:
        token: The token.
        source: Where it comes from, for the error; the token is not shown.

    Raises:
        AccessDeniedError: As for `check_token`, and if it is shorter than six
            characters.
    """
    if len(check_token(token, source)) < _MIN_SECRET_LENGTH:
        raise AccessDeniedError(
            f"{source} is not a valid token of a server: it is shorter than "
            f"{_MIN_SECRET_LENGTH} characters, and would be guessed; {_MAKE_ONE}"
        )
    return token


def read_secret_file(path: str) -> str:
    """
    Return the token that a file holds, if a server may ask for it.

    Raises:
        AccessDeniedError: As for `read_token_file` and `check_secret`.
    """
    return check_secret(read_token_file(path), f"the token file {quoted(path, 200)}")


def read_token_file(path: str) -> str:
    """
    Return the token that a file holds, if it is a secret.

    Raises:
        AccessDeniedError: As for `read_private_file`, or it does not hold a token.
    """
    shown = f"the token file {quoted(path, 200)}"
    return check_token(read_private_file(path, shown, _MAX_TOKEN_BYTES).strip(), shown)


def read_private_file(path: str, shown: str, most: int) -> str:
    """
    Return the text of a file that other users cannot read, or write.

    A file of our own must be closed to others. One that belongs to root must only
    not be writable: orchestrators mount secrets as root's with mode 0440 or 0444, and
    decide by other means which process sees them.

    Args:
        path: Its path.
        shown: Names it in errors.
        most: The most bytes to read.

    Raises:
        AccessDeniedError: It has no name, cannot be read, belongs to another user, is
            open to others (``chmod 600`` it), or is not text.
    """
    if not path:
        raise AccessDeniedError(
            f"{shown} has no name (a variable without a value?); write it, or leave "
            "it out"
        )
    try:
        with Path(path).open("rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(most)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AccessDeniedError(f"{shown} cannot be read: {reason}") from None
    if found.st_uid not in (os.geteuid(), 0):
        raise AccessDeniedError(f"{shown} belongs to another user")
    if stat.S_IMODE(found.st_mode) & (0o022 if found.st_uid == 0 else 0o077):
        raise AccessDeniedError(f"{shown} is open to other users; chmod 600 it")
    try:
        return decode_text(text)
    except ValueError as error:
        raise AccessDeniedError(f"{shown} cannot be read: {error}") from None
