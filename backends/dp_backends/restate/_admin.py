"""Requests to Restate's admin API, and the questions whether it is ready."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import Enum
from http.client import HTTPException
from secrets import token_hex
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import anyio
import msgspec

from dp_backends.restate._names import OBJECT, SERVICE
from dp_core import BackendError, BackendUnavailableError
from dp_core.backend import in_thread_apart, quoted

__all__ = [
    "ADMIN_URL",
    "Registration",
    "ingress_url",
    "is_healthy",
    "known_ids",
    "register_deployment",
    "seconds_ahead",
    "until_answered",
]

ADMIN_URL: Final = "http://localhost:9070"
"""The admin API of a restate-server with default ports."""

_TIMEOUT: Final = 60
"""The time for an answer, in seconds: for it, Restate calls our service first."""

_READY_SECONDS: Final = 20
"""The time that an ingress has to learn of services that are registered."""

_PEEK_SECONDS: Final = 5
"""The time for one answer of those."""

_KNOWN_IDS: Final = f"""
    SELECT DISTINCT service_key FROM state
    WHERE service_name = '{OBJECT}' AND key IN ('value', 'terms') ORDER BY service_key
"""  # noqa: S608 - made of constants

# urllib, and not the client of `dp_backends.http`: backends do not import each other,
# and that client makes the calls of the wire only. Here are a few plain requests for
# each run of a program, GET among them, where speed does not matter.
# Without proxies, because the admin API is on this machine or in its network.
_open: Final = build_opener(ProxyHandler({})).open


class _Service(msgspec.Struct):
    name: str
    deployment_id: str
    metadata: dict[str, str] | None = None


class _Services(msgspec.Struct):
    services: list[_Service]


class _Deployment(msgspec.Struct):
    id: str


class _Row(msgspec.Struct):
    service_key: str


class _Rows(msgspec.Struct):
    rows: list[_Row]


class _Version(msgspec.Struct):
    version: str
    ingress_endpoint: str | None = None


class Registration(Enum):
    """Result of `register_deployment`; its value is for a person to read."""

    NEW = "registered"
    REPLACED = "registered, in place of another deployment"
    RENEWED = "registered anew"
    UNCHANGED = "was registered already"


async def register_deployment(
    admin: str, url: str, services: Mapping[str, str | None]
) -> Registration:
    """
    Register services with Restate, unless these versions are registered already.

    Args:
        admin: The URL of Restate's admin API.
        url: The URL by which Restate reaches the services.
        services: Their names and versions. A service without a version is always
            registered anew, because it may have changed.

    Raises:
        BackendUnavailableError: Restate cannot be reached at *admin*.
        BackendError: Restate cannot reach the services, or refuses them.
    """
    before = await _registered(admin)
    deployment = {"uri": url, "force": False}
    status, answer = await _ask(admin, "/v3/deployments", _Deployment, deployment)
    if status == 201:
        replaced = not before.keys().isdisjoint(services)
        return Registration.REPLACED if replaced else Registration.NEW
    # Restate knows the URL, and did not look at the services. An older version may
    # have been there, or another deployment may have replaced this one since.
    unchanged = {name: (answer.id, version) for name, version in services.items()}
    if None not in services.values() and unchanged.items() <= before.items():
        return Registration.UNCHANGED
    anew = deployment | {"force": True}
    await _ask(admin, "/v3/deployments", _Deployment, anew)
    return Registration.RENEWED


async def _registered(admin: str) -> dict[str, tuple[str, str | None]]:
    """Return the deployment and the version of each registered service."""
    _, answer = await _ask(admin, "/v3/services", _Services)
    return {
        service.name: (service.deployment_id, (service.metadata or {}).get("version"))
        for service in answer.services
    }


async def known_ids(admin: str) -> list[str]:
    """
    Return the ids of all promises that were settled or created, sorted.

    Raises:
        BackendUnavailableError: Restate cannot be reached at *admin*.
        BackendError: Restate refuses the query.
    """
    _, answer = await _ask(admin, "/query", _Rows, {"query": _KNOWN_IDS})
    return [row.service_key for row in answer.rows]


async def ingress_url(admin: str) -> str | None:
    """Return where the node of this admin API says that its ingress is."""
    answer: _Version
    _, answer = await _ask(admin, "/version", _Version)
    return answer.ingress_endpoint


async def seconds_ahead(admin: str) -> int:
    """Return by how much our clock is ahead of that of a node, to about a second."""
    response = await _fetch(admin, "/version")
    try:
        theirs = parsedate_to_datetime(response.date).timestamp()
    except ValueError:
        return 0  # Not said, or by somebody in between.
    return round(time.time() - theirs)


async def until_answered(ingress: str) -> str | None:
    """
    Wait until an ingress answers a peek, as it does once it knows the services.

    Returns:
        None; or after a while, why there is no answer yet.
    """
    why = "it does not answer"
    body = {"promiseId": token_hex(16)}
    with anyio.move_on_after(_READY_SECONDS):
        while True:
            try:
                await _ask(ingress, f"/{SERVICE}/peek", None, body, _PEEK_SECONDS)
            except BackendError as error:
                why = error.reason
            else:
                return None
            await anyio.sleep(0.1)
    return why


async def is_healthy(url: str) -> bool:
    """Return whether one of Restate's health checks succeeds."""
    try:
        status, _ = await _ask(url, "", Any)
    except BackendError:
        return False
    return status == 200


class _Reply(NamedTuple):
    status: int
    body: bytes
    date: str


async def _ask(
    url: str, path: str, type_: Any, body: Any = None, seconds: float = _TIMEOUT
) -> tuple[int, Any]:
    """Make a request, and return its status and its answer, which is of a type."""
    response = await _fetch(url, path, body, seconds)
    try:
        # Health checks are answered by any body, or by none.
        checked = type_ is not Any
        answer = msgspec.json.decode(response.body, type=type_) if checked else None
    except msgspec.MsgspecError:
        raise BackendError(
            f"what answers at {url} is not Restate, or another port of it: "
            f"{path} is {quoted(response.body[:200].decode(errors='replace'))}"
        ) from None
    return response.status, answer


async def _fetch(
    url: str, path: str, body: Any = None, seconds: float = _TIMEOUT
) -> _Reply:
    """Make a request, POST if it has a body, else GET."""
    # Who is told to stop does not wait for an answer.
    return await in_thread_apart(_fetch_blocking, url, path, body, seconds)


def _fetch_blocking(url: str, path: str, body: Any, seconds: float) -> _Reply:
    try:
        _check_url(url)
        request = Request(  # noqa: S310 - the URL is the user's own
            url.rstrip("/") + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
    except ValueError as error:
        raise BackendError(f"{quoted(url)} is not a valid URL: {error}") from None
    try:
        with _open(request, timeout=seconds) as response:
            date = response.headers.get("date", "")
            return _Reply(response.status, response.read(), date)
    except HTTPError as error:
        raise BackendError(_refusal(url, path, error)) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackendUnavailableError(
            f"cannot reach Restate at {url} ({reason}); start "
            "restate-server, name the right URL, or try `dp restate up`"
        ) from None


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    # A port that is not valid raises, too.
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("write http://HOST:PORT")


def _refusal(url: str, path: str, error: HTTPError) -> str:
    """Return what to say of an answer that is a failure: Restate's message, if any."""
    with error:
        text = error.read(10_000).decode(errors="replace")
    try:
        reason = str(json.loads(text)["message"])
    except (ValueError, LookupError, TypeError):
        reason = f"{quoted(text, 200)} (HTTP {error.code})"
    is_ingress = error.headers.get("x-restate-error-source") == "ingress"
    if is_ingress and not path.startswith(f"/{SERVICE}/"):
        reason += (
            "; this is its ingress, which clients use: its admin API has another port, "
            f"as in {ADMIN_URL}"
        )
    return f"Restate at {url} refuses: {reason}"
