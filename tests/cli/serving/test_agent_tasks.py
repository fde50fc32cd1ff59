"""Waits of ``dp mcp`` as tasks of the protocol, for clients that know tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp.client import ClientExtension, advertise
from mcp.client.extension import ClaimContext, ResultClaim
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    Request,
    RequestParams,
    Result,
)
from pydantic import Field

from support.core.agents import agent, told


@pytest.fixture
def anyio_backend() -> str:
    """Run the client, which is not ours, on one event loop."""
    return "asyncio"


class TaskParams(RequestParams):
    task_id: str = Field(alias="taskId")


class TaskRequest(Request[TaskParams, str]):
    """A request about a task: ``tasks/get``, ``tasks/update``, ``tasks/cancel``."""


class Task(Result):
    """A task, as tasks/get tells of it."""

    result_type: Literal["task", "complete"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")
    status: str
    created_at: str = Field(alias="createdAt")
    last_updated_at: str = Field(alias="lastUpdatedAt")
    ttl_ms: int | None = Field(alias="ttlMs")
    poll_interval_ms: int = Field(alias="pollIntervalMs")
    result: CallToolResult | None = None


class NewTask(Result):
    result_type: Literal["task"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")


class Tasks(ClientExtension):
    """A client that knows tasks, and asks for each until it is over."""

    identifier = "io.modelcontextprotocol/tasks"

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=NewTask, resolve=self._poll)]

    async def _poll(self, task: NewTask, context: ClaimContext) -> CallToolResult:
        request = TaskRequest(
            method="tasks/get", params=TaskParams(taskId=task.task_id)
        )
        while True:
            found = await context.session.send_request(request, Task)
            if found.result is not None:
                return found.result
            await anyio.sleep(0.01)


async def begin(client: Client, id: str, seconds: float = 3600) -> str:
    """Begin to wait for a promise; return the id of the task."""
    # The tool itself would wait for longer.
    with anyio.fail_after(28):
        task = await client.session.call_tool(
            "wait_for_promise", {"id": id, "seconds": seconds}, allow_claimed=True
        )
    assert isinstance(task, NewTask)
    return task.task_id


async def about(client: Client, method: str, task_id: str) -> Task:
    """Ask about a task."""
    request = TaskRequest(method=method, params=TaskParams(taskId=task_id))
    return await client.session.send_request(request, Task)


async def test_a_wait_is_a_task_that_outlives_the_server_of_the_tools(
    tmp_path: Path,
) -> None:
    """Its id is all there is to it: another process tells how it went."""
    url = f"file:{tmp_path}/promises"
    async with agent(url, extensions=[Tasks()]) as client:
        task = await begin(client, "a-1-b")
        working = await about(client, "tasks/get", task)
    async with agent(url, extensions=[Tasks()]) as client:
        again = await about(client, "tasks/get", task)
        won = await told(client, "resolve_promise", id="a-1-b", value="yes")
        done = await about(client, "tasks/get", task)
        # What is settled is answered at once.
        assert won == await told(client, "wait_for_promise", id="a-1-b")

    assert working == again
    assert ("complete", "working", None) == (
        working.result_type,
        working.status,
        working.result,
    )
    assert ("completed", working.created_at) == (done.status, done.created_at)
    assert done.result is not None
    assert won == done.result.structured_content


async def test_a_task_ends_when_the_wait_would_have(tmp_path: Path) -> None:
    """It is completed by what the wait says then: that the promise is pending."""
    async with agent(f"file:{tmp_path}/promises", extensions=[Tasks()]) as client:
        waited = await told(client, "wait_for_promise", id="a", seconds=0.05)

    assert "pending" == waited["state"]


async def test_to_cancel_a_task_leaves_the_promise_to_others(tmp_path: Path) -> None:
    """It is acknowledged, as the protocol asks; somebody else may wait, too."""
    async with agent(f"file:{tmp_path}/promises", extensions=[Tasks()]) as client:
        task = await begin(client, "a")
        for method in ("tasks/cancel", "tasks/update"):
            request = TaskRequest(method=method, params=TaskParams(taskId=task))
            await client.session.send_request(request, Result)
        seen = await told(client, "peek_promise", id="a")

    assert "pending" == seen["state"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_who_knows_no_tasks_gets_none(
    tmp_path: Path, mode: Literal["auto", "legacy"]
) -> None:
    """The wait is answered as any call, in the protocol before tasks as well."""
    # Some say that they know tasks, in a protocol that has none.
    knows = [advertise(Tasks.identifier)] if mode == "legacy" else []
    url = f"file:{tmp_path}/promises"
    async with agent(url, mode=mode, extensions=knows) as client:
        waited = await told(client, "wait_for_promise", id="a", seconds=0.01)
        with pytest.raises(MCPError) as refused:
            await about(client, "tasks/get", "1-2-a")

    assert "pending" == waited["state"]
    if mode == "auto":
        assert MISSING_REQUIRED_CLIENT_CAPABILITY == refused.value.error.code


async def test_what_is_no_task_is_refused(tmp_path: Path) -> None:
    """Ids that no wait was given, and stores that cannot be asked, are errors."""
    async with agent(f"file:{tmp_path}/promises", extensions=[Tasks()]) as client:
        for task in ("", "a", "1-2-", "-1-2-a", "1-999999999999999-a", "9" * 40):
            for method in ("tasks/get", "tasks/cancel", "tasks/update"):
                with pytest.raises(MCPError) as refused:
                    await about(client, method, task)
                assert INVALID_PARAMS == refused.value.error.code, (task, method)
        (tmp_path / "promises").write_text("no directory")
        with pytest.raises(MCPError) as failed:
            await about(client, "tasks/get", "1-2-a")

    assert INTERNAL_ERROR == failed.value.error.code
    assert "promises" in failed.value.error.message
