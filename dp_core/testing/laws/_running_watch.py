"""`RunningWatch`: a watch by a handle, and `told_text` of what it was told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import anyio

from dp_core._errors import PromiseDisposedError
from dp_core.testing.kit import (
    DISPOSED,
    BackendCall,
    CallResult,
    LawContext,
    Schedule,
    StoreHandle,
    check_result,
    shown,
)

__all__ = ["RunningWatch", "told_text"]

_FEW: Final = 3
"""The most promises that an error names."""


class RunningWatch:
    """
    A watch by a handle, in a task of its own.

    Args:
        context: Where it runs.
        handle: The handle.
        ids: The promises.
        asked: Whether to ask the iterator from the beginning, or from `ask` on.
        stop: After how many promises to leave the block.
        schedule: As for the calls of a `StoreHandle`.

    Attributes:
        call: The call that it is.
        told: Each promise that was told, with its outcome or `DISPOSED`.
    """

    def __init__(
        self,
        context: LawContext,
        handle: StoreHandle,
        ids: list[str],
        *,
        asked: bool = True,
        stop: int = 0,
        **schedule: Any,
    ) -> None:
        self.told: list[tuple[str, CallResult]] = []
        self.call = BackendCall(
            context.log,
            handle.name,
            "watch",
            id=ids[0] if ids else "",
            schedule=Schedule(**schedule),
        )
        self._backend: Any = handle.backend
        self._context = context
        self._ids = ids
        self._stop = stop
        self._is_entered = False
        self._asked = anyio.Event()
        self._news = anyio.Event()
        if asked:
            self._asked.set()
        context.start(self.call, self._run)

    def ask(self) -> None:
        """Ask the iterator from now on."""
        self._asked.set()

    async def _run(self) -> None:
        try:
            async with self._backend.watch(self._ids) as watch:
                self._is_entered = True
                self._tell_news()
                await self._asked.wait()
                async for id, told in watch:
                    self._take(id, told)
                    if len(self.told) == self._stop:
                        break
        finally:
            self._tell_news()

    def _take(self, id: str, told: Any) -> None:
        result: CallResult
        if isinstance(told, PromiseDisposedError):
            result = DISPOSED
        else:
            result = check_result("wait", told)
        if isinstance(result, BaseException):
            raise result
        self.told.append((id, result))
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    # For laws ---------------------------------------------------------------

    async def entered(self) -> None:
        """Wait until the block is entered."""
        await self._until(lambda: self._is_entered, "was not entered")

    async def has(self, *wanted: tuple[str, CallResult]) -> None:
        """Wait until that many are told, and check that they are these."""
        await self._until(lambda: len(self.told) >= len(wanted), "told too little")
        self._check(*wanted)

    async def ends(self, *wanted: tuple[str, CallResult]) -> None:
        """Wait for the end of the watch, and check all that it has told."""
        await self.call.ends(*self._ids[:_FEW])
        self._check(*wanted)

    async def ends_with(self, *wanted: tuple[str, CallResult]) -> None:
        """Wait for the end, and check what was told; in whatever order it was found."""
        await self.call.ends(*self._ids[:_FEW])
        self.told.sort(key=lambda told: self._ids.index(told[0]))
        self._check(*wanted)

    def _check(self, *wanted: tuple[str, CallResult]) -> None:
        if self.told != list(wanted):
            # Of many, those around the first that differ.
            pairs = enumerate(zip([*self.told, None], [*wanted, None], strict=False))
            first = max(next(n for n, (a, b) in pairs if a != b) - 1, 0)
            some = slice(first, first + _FEW)
            raise self._context.broken(
                f"{self.call} told {told_text(self.told[some])}, "
                f"not {told_text(wanted[some])}",
                *(id for id, _ in (*self.told[some], *wanted[some])),
            )

    async def _until(self, is_so: Any, problem: str) -> None:
        log = self._context.log
        with anyio.move_on_after(log.patience):
            while not (is_so() or self.call.is_over):
                await self._news.wait()
        if not is_so():
            if self.call.is_over:
                await self.call.ends(*self._ids[:_FEW])
            log.ran_out = True
            raise self._context.broken(
                f"{self.call} {problem} within {log.patience:g} s: "
                f"{told_text(self.told[-_FEW:])}",
                *self._ids[:_FEW],
            )


def told_text(told: Iterable[tuple[str, CallResult]]) -> str:
    """Return what was told, as errors say it."""
    return ", ".join(f"{id}: {shown(result)}" for id, result in told) or "nothing"
