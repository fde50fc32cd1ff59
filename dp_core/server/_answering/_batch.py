"""
`BatchAnswers`: the calls of one request, done together and answered together.

Calls on one promise are done in their order; those on different ones at the same time,
so that a store can share a commit among them. One that fails changes nothing for the
others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, final

from anyio import create_task_group, move_on_after
from anyio.lowlevel import current_token

from dp_core._access import Access
from dp_core._errors import (
    BackendUnavailableError,
    DurablePromiseError,
    OutcomeUnknownError,
)
from dp_core.server._answering._operations import Operations
from dp_core.wire import (
    MAX_BATCH_ANSWER_BYTES,
    BatchedCall,
    write_batch_answer,
    write_error,
)

__all__ = ["BATCH_SECONDS", "BatchAnswers"]

BATCH_SECONDS: Final = 30.0
"""The time after which a call that is not done is answered."""

AT_ONCE: Final = 64
"""The most calls of one batch at a time: an answer may have a megabyte."""

Asked: TypeAlias = Sequence[BatchedCall | DurablePromiseError]
"""Calls; an error in the place of one that cannot be made."""

_Lines: TypeAlias = Iterator[list[tuple[int, BatchedCall]]]
"""The places of the calls on each promise, and these calls."""


@final
class BatchAnswers:
    """
    The batches of one app.

    Args:
        operations: How a call is done.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def answer(self, asked: Asked, access: Access | None) -> bytes:
        """
        Do all calls, as far as there are time and room for answers.

        Nobody looks whether the client is still there: what has begun is done.

        Args:
            asked: The calls.
            access: What the client may be told of.

        Returns:
            The body of the answer.
        """
        batch = _BatchWork(self._operations, asked, access)
        await batch.run()
        return write_batch_answer(batch.answers())


class _BatchWork:
    """One batch: its calls, and what they were answered so far."""

    def __init__(
        self, operations: Operations, asked: Asked, access: Access | None
    ) -> None:
        self._operations = operations
        self._access = access
        self._answers: list[tuple[int, bytes] | None] = [None] * len(asked)
        self._begun = [False] * len(asked)
        self._room = MAX_BATCH_ANSWER_BYTES
        # The places of the calls on each promise.
        self._lines: dict[str, list[tuple[int, BatchedCall]]] = {}
        for place, call in enumerate(asked):
            if isinstance(call, DurablePromiseError):
                self._put(place, write_error(call))
            else:
                self._lines.setdefault(call.id, []).append((place, call))

    async def run(self) -> None:
        """Do all calls for whose answers there are room and time."""
        lines = iter(self._lines.values())
        workers = min(len(self._lines), AT_ONCE)
        loop = current_token().native_token
        with move_on_after(BATCH_SECONDS):
            if isinstance(loop, asyncio.AbstractEventLoop):
                await self._run_on_asyncio(loop, lines, workers)
                return
            async with create_task_group() as tasks:
                for _ in range(workers):
                    tasks.start_soon(self._work, lines)

    async def _run_on_asyncio(
        self, loop: asyncio.AbstractEventLoop, lines: _Lines, workers: int
    ) -> None:
        """Do what a task group does, in tasks that cost a sixth of its own."""
        over = loop.create_future()
        left = workers

        async def work() -> None:
            nonlocal left
            try:
                await self._work(lines)
            finally:
                left -= 1
                if not left and not over.done():
                    over.set_result(None)

        tasks = [loop.create_task(work()) for _ in range(workers)]
        try:
            if tasks:
                await over
        finally:
            if left:
                for task in tasks:
                    task.cancel()

    async def _work(self, lines: _Lines) -> None:
        for line in lines:
            for place, call in line:
                if self._room <= 0:
                    return
                self._begun[place] = True
                try:
                    answer = await self._operations.do(call, self._access)
                except Exception as error:  # noqa: BLE001 - the others go on
                    answer = write_error(self._operations.as_seen(error, call))
                except BaseException as error:
                    self._operations.tell_ending(error)
                    raise
                self._put(place, answer)

    def _put(self, place: int, answer: tuple[int, bytes]) -> None:
        self._answers[place] = answer
        self._room -= len(answer[1])

    def answers(self) -> list[tuple[int, bytes]]:
        """Return the answer to each call, as it would be alone."""
        return [
            (_UNKNOWN if begun else _NOT_BEGUN) if answer is None else answer
            for answer, begun in zip(self._answers, self._begun, strict=True)
        ]


_NOT_BEGUN: Final = write_error(
    BackendUnavailableError(
        "not begun: the answers of this batch are long, or took long; ask again"
    )
)
_UNKNOWN: Final = (
    503,
    write_error(
        OutcomeUnknownError(
            f"unknown: not done in {BATCH_SECONDS:g} s; look, or repeat it"
        )
    )[1].replace(b'"code":500', b'"code":503'),
)
