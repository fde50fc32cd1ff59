"""
`PostgresUrl`: a store URL, parsed and checked.

``postgresql://USER@HOST:PORT/DATABASE?schema=NAME&retry=SECONDS``, in which all may be
left out, and to which all may be added that libpq knows: several hosts, sockets,
``sslmode``, ``service``. The two options named here are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias, final
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from dp_backends._urls import retry_of
from dp_core import UnknownBackendError
from dp_core.backend import quoted, without_password

__all__ = ["PostgresUrl", "parse_url"]

_SCHEMA: Final = "durable_promises"
_NAME_BYTES: Final = 63
"""PostgreSQL cuts longer names off."""

_FORM: Final = "postgresql://USER@HOST/DATABASE?schema=NAME"

_Refuse: TypeAlias = Callable[[str], NoReturn]

_DEFAULTS: Final = {
    "application_name": "durable-promises",
    # Of all addresses together it would be endless.
    "connect_timeout": "10",
    # A network that is gone says nothing: who sends is told after this, in
    # milliseconds, and who only waits after the others, in seconds.
    "tcp_user_timeout": "20000",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "4",
}


@final
@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """
    Names a store in a PostgreSQL database.

    Attributes:
        location: The URL in its normal form, without a password.
        parameters: How libpq is to connect; with the password.
        schema: Where in the database the store is.
        retry: How long to try again while the server is away, in seconds.
    """

    location: str
    parameters: dict[str, str] = field(repr=False)
    schema: str
    retry: float


def parse_url(url: str) -> PostgresUrl:
    """
    Parse a store URL.

    Raises:
        UnknownBackendError: It is not a valid URL of a database; the error says why.
    """
    # Errors show the URL, and must not show a password.
    shown = without_password(url)

    def refuse(reason: str) -> NoReturn:
        raise UnknownBackendError(shown, reason)

    if not url.partition(":")[2].startswith("//"):
        refuse(f"it names no database; write {_FORM}")
    if "#" in url:
        refuse("it has a fragment; write # as %23")
    ours, theirs = _divided(url, refuse)
    parameters, reason = _parsed(theirs)
    if reason is not None:
        refuse(
            f"{reason}write {_FORM}, other options as libpq has them, and "
            "characters that URLs reserve percent-encoded, also in a password"
        )
    texts = {name: str(value) for name, value in parameters.items()}
    if any("\0" in text for text in (*texts.values(), *ours.values())):
        refuse("it contains NUL (%00)")
    schema = ours.get("schema", _SCHEMA)
    if reason := _fault_of(schema):
        refuse(reason)
    return PostgresUrl(
        _location(texts, schema),
        {**_DEFAULTS, **texts, "client_encoding": "UTF8"},
        schema,
        _seconds(ours.get("retry"), refuse),
    )


def _parsed(url: str) -> tuple[dict[str, Any], str | None]:
    """Return what libpq makes of a URL, or what it said that may be shown."""
    try:
        return conninfo_to_dict(url), None
    except psycopg.Error as error:
        # The text may show a part of the password, so nobody is to be told this error.
        found = re.search(r'invalid URI query parameter: "([^"]*)"', str(error))
        return {}, f"{quoted(found[1])} is not a valid option; " if found else ""


def _divided(url: str, refuse: _Refuse) -> tuple[dict[str, str], str]:
    """Return the options that are ours, and the URL without them."""
    base, _, query = url.partition("?")
    ours: dict[str, str] = {}
    theirs: list[str] = []
    for option in filter(None, query.split("&")):
        name, _, value = option.partition("=")
        if name not in ("schema", "retry"):
            theirs.append(option)
        elif name in ours:
            refuse(f"{name}= is given twice")
        else:
            ours[name] = unquote(value)
    return ours, base + ("?" + "&".join(theirs) if theirs else "")


def _fault_of(schema: str) -> str:
    try:
        size = len(schema.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= _NAME_BYTES:
        return f"a schema has a name of 1 to {_NAME_BYTES} bytes of UTF-8"
    if schema.startswith("pg_") or schema == "information_schema":
        return f"the schema {quoted(schema)} is the server's own; name another one"
    return ""


def _seconds(text: str | None, refuse: _Refuse) -> float:
    try:
        return retry_of(text)
    except ValueError as error:
        refuse(str(error))


def _location(given: dict[str, str], schema: str) -> str:
    """Return the normal form, with what the environment says taken as of now."""
    values = {
        option.keyword.decode(): (option.val or b"").decode(errors="replace")
        for option in Conninfo.get_defaults()
    }
    # A service file may name all of them; only libpq reads it.
    service = given.get("service")
    values.update(given)
    user = quote(values.get("user", ""), safe="")
    hosts = [quote(host, safe=":") for host in values.get("host", "").split(",")]
    ports = values.get("port", "").split(",")
    if len(ports) < len(hosts):
        ports *= len(hosts)
    places = ",".join(
        f"{_bracketed(host)}:{port}" for host, port in zip(hosts, ports, strict=False)
    )
    database = quote(values.get("dbname", "") or values.get("user", ""), safe="")
    by_service = "" if service is None else f"service={quote(service, safe='')}&"
    name = quote(schema, safe="")
    return f"postgresql://{user}@{places}/{database}?{by_service}schema={name}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
