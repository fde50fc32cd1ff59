"""Requests to Restate's admin API: register services, list settled promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from functools import partial
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from anyio import to_thread

from dp_backends.restate._names import OBJECT
from dp_core import BackendError, BackendUnavailableError

__all__ = [
    "ADMIN_URL",
    "Registration",
    "is_healthy",
    "register_deployment",
    "settled_ids",
]

ADMIN_URL: Final = "http://localhost:9070"
"""The admin API of a restate-server with default ports."""

_TIMEOUT: Final = 60
"""The time for an answer, in seconds: for it, Restate calls our service first."""

_SETTLED_IDS: Final = f"""
    SELECT service_key FROM state
    WHERE service_name = '{OBJECT}' AND key = 'value' ORDER BY service_key
"""  # noqa: S608 - made of constants

# urllib, and not the client of `dp_backends.http`: backends do not import each other,
# and that client makes the calls of the wire only. Here are a few plain requests for
# each run of a program, GET among them, where speed does not matter.
# Without proxies, because the admin API is on this machine or in its network.
_open: Final = build_opener(ProxyHandler({})).open


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
    status, answer = await _request(admin, "/v3/deployments", deployment)
    if status == 201:
        replaced = not before.keys().isdisjoint(services)
        return Registration.REPLACED if replaced else Registration.NEW
    # Restate knows the URL, and did not look at the services. An older version may
    # have been there, or another deployment may have replaced this one since.
    unchanged = {name: (answer["id"], version) for name, version in services.items()}
    if None not in services.values() and unchanged.items() <= before.items():
        return Registration.UNCHANGED
    await _request(admin, "/v3/deployments", deployment | {"force": True})
    return Registration.RENEWED


async def _registered(admin: str) -> dict[str, tuple[str, str | None]]:
    """Return the deployment and the version of each registered service."""
    _, answer = await _request(admin, "/v3/services")
    return {
        service["name"]: (
            service["deployment_id"],
            (service.get("metadata") or {}).get("version"),
        )
        for service in answer["services"]
    }


async def settled_ids(admin: str) -> list[str]:
    """
    Return the ids of all settled promises, sorted.

    Raises:
        BackendUnavailableError: Restate cannot be reached at *admin*.
        BackendError: Restate refuses the query.
    """
    _, answer = await _request(admin, "/query", {"query": _SETTLED_IDS})
    return [row["service_key"] for row in answer["rows"]]


async def is_healthy(url: str) -> bool:
    """Return whether one of Restate's health checks succeeds."""
    try:
        status, _ = await _request(url, "")
    except BackendError:
        return False
    return status == 200


async def _request(admin: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Make a request, POST if it has a body, else GET; return status and JSON."""
    return await to_thread.run_sync(
        partial(_request_blocking, admin, path, body), abandon_on_cancel=True
    )


def _request_blocking(admin: str, path: str, body: Any) -> tuple[int, Any]:
    request = Request(  # noqa: S310 - the URL is the user's own
        admin.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        with _open(request, timeout=_TIMEOUT) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except HTTPError as error:
        raise BackendError(f"Restate at {admin} refuses: {_reason(error)}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackendUnavailableError(
            f"cannot reach Restate's admin API at {admin} ({reason}); start "
            "restate-server, name the right URL, or try `dp restate up`"
        ) from None


def _reason(error: HTTPError) -> str:
    """Return Restate's message, or else the beginning of the body."""
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, LookupError, TypeError):
        return f"{text[:200]} (HTTP {error.code})"
