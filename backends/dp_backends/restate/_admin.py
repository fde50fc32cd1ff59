"""What we ask of Restate's administration: to know a service, and for ids."""

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

from dp_backends.restate._calls import OBJECT
from dp_core import BackendError, BackendUnavailableError

__all__ = ["ADMIN_URL", "Registration", "is_healthy", "register", "settled_ids"]

ADMIN_URL: Final = "http://localhost:9070"
"""Where a restate-server has it by default."""

_SECONDS: Final = 60
"""How long an answer may take; Restate asks our service in between."""

_IDS: Final = f"""
    SELECT service_key FROM state
    WHERE service_name = '{OBJECT}' AND key = 'value' ORDER BY service_key
"""  # noqa: S608 - of constants

# Nobody's proxy knows the names of our neighbours.
_open: Final = build_opener(ProxyHandler({})).open


class Registration(Enum):
    """What `register` did, in words for a person."""

    NEW = "registered"
    REPLACED = "registered, in place of another deployment"
    RENEWED = "registered anew"
    UNCHANGED = "was registered already"


async def register(
    admin: str, url: str, services: Mapping[str, str | None]
) -> Registration:
    """
    Have Restate call the services at *url*, unless it does so already.

    Args:
        admin: The URL of Restate's administration.
        url: The URL by which Restate reaches the services.
        services: Their names, and their versions. A service that has none may
            have changed, for all we know.

    Raises:
        BackendUnavailableError: There is no Restate at *admin*.
        BackendError: It does not reach the services, or does not take them.
    """
    before = await _known(admin)
    deployment = {"uri": url, "force": False}
    status, answer = await _ask(admin, "/v3/deployments", deployment)
    if status == 201:
        replaced = not before.keys().isdisjoint(services)
        return Registration.REPLACED if replaced else Registration.NEW
    # Restate knew the URL, and looked no further. But an older version may have
    # been there, or another deployment may have taken its place since.
    unchanged = {name: (answer["id"], version) for name, version in services.items()}
    if None not in services.values() and unchanged.items() <= before.items():
        return Registration.UNCHANGED
    await _ask(admin, "/v3/deployments", deployment | {"force": True})
    return Registration.RENEWED


async def _known(admin: str) -> dict[str, tuple[str, str | None]]:
    """Return by which deployment each service is provided, and in which version."""
    _, answer = await _ask(admin, "/v3/services")
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
        BackendUnavailableError: There is no Restate at *admin*.
        BackendError: It does not answer.
    """
    _, answer = await _ask(admin, "/query", {"query": _IDS})
    return [row["service_key"] for row in answer["rows"]]


async def is_healthy(url: str) -> bool:
    """Tell whether a health check of Restate's says yes."""
    try:
        status, _ = await _ask(url, "")
    except BackendError:
        return False
    return status == 200


async def _ask(admin: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return the status and what it answers: GET, or POST where there is a body."""
    return await to_thread.run_sync(
        partial(_ask_blocking, admin, path, body), abandon_on_cancel=True
    )


def _ask_blocking(admin: str, path: str, body: Any) -> tuple[int, Any]:
    request = Request(  # noqa: S310 - the user names it
        admin.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        with _open(request, timeout=_SECONDS) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except HTTPError as error:
        raise BackendError(f"Restate at {admin} refuses: {_reason(error)}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackendUnavailableError(
            f"there is no administration of Restate at {admin} ({reason}); start "
            "restate-server or name the right URL, or try `dp restate up`"
        ) from None


def _reason(error: HTTPError) -> str:
    """Return the message of a failure."""
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, LookupError, TypeError):
        return f"{text[:200]} (HTTP {error.code})"
