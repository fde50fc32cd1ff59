"""
`ServerUrl`: a store URL, parsed and checked.

``http://HOST:PORT/PREFIX?retry=SECONDS``; the port, the prefix and the option
may be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn, final
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from dp_backends._urls import RETRY_SECONDS, retry_of
from dp_core import UnknownBackendError
from dp_core.backend import without_password

__all__ = ["ServerUrl", "parse_url"]

_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]*:[0-9A-Za-z:.%_-]*")


@final
@dataclass(frozen=True, slots=True)
class ServerUrl:
    """
    The address of a server; ``str()`` shows it as errors do.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Its name or IP address, without brackets.
        port: Its TCP port.
        prefix: The path before the paths of the wire, percent-encoded.
        retry: How long to repeat a call whose caller sets no deadline, in
            seconds.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    retry: float = RETRY_SECONDS

    def __str__(self) -> str:
        return f"{self._name}:{self.port}"

    @property
    def base(self) -> str:
        """The URL before the paths of the wire."""
        return f"{self.scheme}://{self}{self.prefix}"

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header (RFC 9110 §7.2)."""
        # A zone (fe80::1%eth0) has a meaning on this machine only.
        name = re.sub(r"%[^]]*", "", self._name)
        usual = self.port == _PORTS[self.scheme]
        return name if usual else f"{name}:{self.port}"

    @property
    def secure(self) -> bool:
        """Whether to speak TLS with it."""
        return self.scheme == "https"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_url(url: str) -> ServerUrl:
    """
    Parse a store URL.

    Raises:
        UnknownBackendError: It is not a valid URL of a server; the error says why.
    """
    # Errors show the URL, and must not show a password.
    shown = without_password(url)
    try:
        parts = urlsplit(shown)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        host = host.encode("idna").decode()
    except ValueError as error:
        raise UnknownBackendError(shown, f"not a valid URL: {error}") from None
    if "@" in parts.netloc:
        _refuse(parts, "it names a user; set DP_TOKEN to the server's token instead")
    if not host:
        _refuse(parts, f"it names no host; write {scheme}://HOST:PORT")
    if not _NAME.fullmatch(host):
        _refuse(parts, f"{host!r} is not a valid host name")
    if port == 0:
        _refuse(parts, "0 is not a valid port of a server; write the server's port")
    if parts.fragment:
        _refuse(parts, "it has a fragment; write # as %23")
    return ServerUrl(
        scheme,
        host,
        port or _PORTS[scheme],
        prefix=quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"),
        retry=_retry(parts),
    )


def _retry(parts: SplitResult) -> float:
    seconds = retry_of(None)
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name != "retry":
            _refuse(
                parts, f"{name!r} is not a valid option; the only one is retry=SECONDS"
            )
        try:
            seconds = retry_of(text)
        except ValueError as error:
            _refuse(parts, str(error))
    return seconds


def _refuse(parts: SplitResult, reason: str) -> NoReturn:
    raise UnknownBackendError(parts.geturl(), reason)
