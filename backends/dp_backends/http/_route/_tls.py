"""
TLS: whom to trust, and why a handshake failed.

What an environment variable names must be there: the standard library ignores a
``SSL_CERT_FILE`` that it cannot read, and trusts nobody then.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Final

from dp_core.backend import quoted

__all__ = ["NoTrustError", "handshake_failed", "make_context", "refused_by_tls"]


class NoTrustError(Exception):
    """
    A file or directory that says whom to trust cannot be used.

    Attributes:
        reason: What is wrong, and with which variable, in words for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def make_context() -> ssl.SSLContext:
    """
    Return a context that trusts whom the system and the environment name.

    It reads some hundred certificates from the disk.

    Raises:
        NoTrustError: An environment variable names what cannot be used.
    """
    try:
        context = ssl.create_default_context()
    except OSError as error:
        raise NoTrustError(_unusable("SSLKEYLOGFILE", error)) from None
    if (file := os.environ.get("SSL_CERT_FILE")) is not None:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:
            raise NoTrustError(_unusable("SSL_CERT_FILE", error)) from None
    if (folders := os.environ.get("SSL_CERT_DIR")) is not None and not any(
        Path(folder).is_dir() for folder in folders.split(os.pathsep) if folder
    ):
        raise NoTrustError(
            f"SSL_CERT_DIR names {quoted(folders, 200)}, where no directory is"
        )
    return context


def _unusable(variable: str, error: OSError) -> str:
    named = quoted(os.environ.get(variable, ""), 200)
    if isinstance(error, ssl.SSLError):
        return f"{variable} names {named}, which has no certificate in PEM form"
    return f"{variable} names {named}, which cannot be used: {error.strerror or error}"


_OF_THE_HANDSHAKE: Final = {
    "CERTIFICATE_REQUIRED": "asks for a client certificate, and has got none",
    "BAD_CERTIFICATE": "asks for a client certificate, and has got none that it takes",
    "HANDSHAKE_FAILURE": "refuses the handshake; it may ask for a client certificate, "
    "or speak no version of TLS or cipher that we do",
    "ACCESS_DENIED": "refuses access in the TLS handshake",
    "UNRECOGNIZED_NAME": "is not known by that name to who answers there",
    "PROTOCOL_VERSION": "speaks no version of TLS that we do",
    "INSUFFICIENT_SECURITY": "speaks no cipher of TLS that we do",
    "NO_APPLICATION_PROTOCOL": "speaks no protocol over TLS that we do",
    "UNKNOWN_CA": "does not know the authority of our certificate",
}
"""Alerts that end a handshake (RFC 8446 §6.2), and what to say of the server."""

_ADVICE: Final = "put a proxy of your own before it that has a certificate"


def refused_by_tls(error: BaseException) -> str | None:
    """Return why a server ended the handshake with an alert; None if it did not."""
    found: BaseException | None = error
    if not isinstance(found, ssl.SSLError):
        found = error.__cause__
    if not isinstance(found, ssl.SSLError) or "ALERT" not in (found.reason or ""):
        return None
    for alert, words in _OF_THE_HANDSHAKE.items():
        if str(found.reason).endswith(alert):
            wanted = "client certificate" in words
            return f"{words} ({found.reason})" + (f"; {_ADVICE}" if wanted else "")
    return None


def handshake_failed(error: ssl.SSLError) -> str:
    """Return why a handshake failed, as the end of a sentence about the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"is not trusted: {error.verify_message}; if its "
            "certificate is your own, let SSL_CERT_FILE name its authority"
        )
    return refused_by_tls(error) or (
        f"does not speak TLS as we do ({error.reason}); is it http:// there?"
    )
