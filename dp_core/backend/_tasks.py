"""`tasks_beside`: tasks that run beside a block, and end with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

__all__ = ["tasks_beside"]


@asynccontextmanager
async def tasks_beside() -> AsyncIterator[TaskGroup]:
    """
    Run tasks beside a block, at whose end they are cancelled.

    The tasks are to raise nothing. What the block raises goes on as it is.
    """
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:
        try:
            yield group
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - a task group would wrap it
            failure = error
        finally:
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
