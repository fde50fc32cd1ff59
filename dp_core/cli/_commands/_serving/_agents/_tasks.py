"""
`WaitsAsTasks`: a wait is a task of the protocol, for clients that know tasks.

Nothing is kept for a task: its id says for which promise it waits, from when and until
when. So it outlives this process, as its promise does. The rules are those of the
extension ``io.modelcontextprotocol/tasks`` (SEP-2663).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    RequestParams,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from dp_core._clock import now
from dp_core.wire import write_moment

__all__ = ["DEFAULT_SECONDS", "MAX_SECONDS", "WAIT", "WaitsAsTasks"]

WAIT: Final = "wait_for_promise"
"""The name of the tool that waits."""

DEFAULT_SECONDS: Final = 30
MAX_SECONDS: Final = 7 * 24 * 3600
"""The longest wait, in seconds."""

_POLL_MILLISECONDS: Final = 2000

_ID: Final = re.compile(r"([0-9]{1,14})-([0-9]{1,14})-(.+)", re.DOTALL)
"""The begin and the end of a wait, in milliseconds since 1970, and the promise."""


class _TaskParams(RequestParams):
    task_id: str = Field(alias="taskId")


@final
class WaitsAsTasks(Extension):
    """
    The extension of tasks, for the tool that waits.

    Args:
        look: Calls that tool with an id, and without waiting.
    """

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, look: Callable[[str], Awaitable[CallToolResult]]) -> None:
        self._look = look

    def methods(self) -> Sequence[MethodBinding]:
        return [
            MethodBinding(
                method, _TaskParams, handler, frozenset(MODERN_PROTOCOL_VERSIONS)
            )
            for method, handler in (
                ("tasks/get", self._get),
                # Nobody is asked for input. And a wait is cancelled by asking no more:
                # its promise is for others, too.
                ("tasks/update", self._acknowledge),
                ("tasks/cancel", self._acknowledge),
            )
        ]

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        asked = params.arguments or {}
        id, seconds = asked.get("id"), asked.get("seconds", DEFAULT_SECONDS)
        if not (
            params.name == WAIT
            and self._is_known_to(ctx)
            and isinstance(id, str)
            and isinstance(seconds, int | float)
            and 0 < seconds <= MAX_SECONDS
        ):
            return await call_next(ctx)
        begin = now()
        try:
            found = await self._look(id)
        except ToolError:
            return await call_next(ctx)
        if not _is_pending(found):
            return found
        end = begin + timedelta(seconds=seconds)
        moments = (f"{at.timestamp() * 1000:.0f}" for at in (begin, end))
        task_id = "-".join((*moments, id))
        return {"resultType": "task", **_task(task_id, begin, "working")}

    async def _get(
        self, ctx: ServerRequestContext[Any, Any], params: _TaskParams
    ) -> HandlerResult:
        begin, end, id = self._read(ctx, params)
        try:
            found = await self._look(id)
        except ToolError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        if _is_pending(found) and now() < end:
            return _task(params.task_id, begin, "working")
        result = found.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**_task(params.task_id, begin, "completed"), "result": result}

    async def _acknowledge(
        self, ctx: ServerRequestContext[Any, Any], params: _TaskParams
    ) -> HandlerResult:
        self._read(ctx, params)
        return {}

    def _is_known_to(self, ctx: ServerRequestContext[Any, Any]) -> bool:
        can = ctx.session.client_capabilities
        return (
            ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
            and can is not None
            and self.identifier in (can.extensions or {})
        )

    def _read(
        self, ctx: ServerRequestContext[Any, Any], params: _TaskParams
    ) -> tuple[datetime, datetime, str]:
        """Return begin, end and promise of a task."""
        require_client_extension(ctx, self.identifier)
        match = _ID.fullmatch(params.task_id)
        if match is None:
            raise MCPError(INVALID_PARAMS, "there is no such task")
        begin, end = (
            datetime.fromtimestamp(int(match[group]) / 1000, UTC) for group in (1, 2)
        )
        return begin, end, match[3]


def _is_pending(found: CallToolResult) -> bool:
    return (found.structured_content or {}).get("state") == "pending"


def _task(task_id: str, begin: datetime, status: str) -> dict[str, Any]:
    return {
        "taskId": task_id,
        "status": status,
        "createdAt": write_moment(begin),
        "lastUpdatedAt": write_moment(now() if status == "completed" else begin),
        "ttlMs": None,
        "pollIntervalMs": _POLL_MILLISECONDS,
    }
