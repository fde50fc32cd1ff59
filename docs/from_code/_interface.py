"""`interface`: the endpoints of the server as tables, from its OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from dp_core.server._endpoints import ENDPOINTS
from dp_core.server._routing import openapi

__all__ = ["interface"]


def interface() -> str:
    """Return all endpoints, a table for each topic, and what failures mean."""
    document = openapi(ENDPOINTS, asks_for_tokens=None)
    topics: defaultdict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "head":
                topics[operation["tags"][0]].append(_row(method, path, operation))
    head = "| request | does | answers |\n|---|---|---|\n"
    tables = [
        f"## {topic}\n\n{head}{chr(10).join(rows)}" for topic, rows in topics.items()
    ]
    return "\n\n".join([*tables, _failures(document)])


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    token = (
        "" if operation["security"] == [{}] else ", with a token where one is asked for"
    )
    statuses = " ".join(operation["responses"])
    return (
        f"| `{method.upper()} {path}` | {operation['summary'].lower()}{token} | "
        f"{statuses} |"
    )


def _failures(document: dict[str, Any]) -> str:
    found = document["components"]["responses"]
    rows = [
        f"| {name.removeprefix('Failure')} | {failure['description']} |"
        for name, failure in found.items()
    ]
    head = "| status | means |\n|---|---|\n"
    return f"## Failures\n\n{head}{chr(10).join(rows)}"
