"""
Let the promises of this process report what happens to them.

In a process of the notebook's, and only there, the five operations of
`DurablePromise` are wrapped, so that the code in the cells stays what one would
write in a script.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, final

from dp_core._display import look_of, preview
from dp_core._errors import PromiseRejectedError
from dp_core._promise import DurablePromise
from dp_core._states import Outcome, Rejected, Resolved, State
from dp_core.notebook._journal import Event, Kind
from dp_core.values import decode, encode

__all__ = ["Recorder"]

_Promise = DurablePromise[Any]
_Settled = Resolved[Any] | Rejected

_OPERATIONS: Final = ("peek", "get", "resolve", "reject", "dispose")
_TEXT_LIMIT: Final = 400


@final
class Recorder:
    """
    Reports for one process.

    Args:
        process: The process's name.
        report: Called with each event, in whatever thread it happens.
    """

    def __init__(self, process: str, report: Callable[[Event], object]) -> None:
        self._process = process
        self._report = report
        self._originals = {name: getattr(DurablePromise, name) for name in _OPERATIONS}

    def install(self) -> None:
        for name in _OPERATIONS:
            setattr(DurablePromise, name, self._wrapped(name))

    def uninstall(self) -> None:
        for name, original in self._originals.items():
            setattr(DurablePromise, name, original)

    def _wrapped(self, name: str) -> Callable[..., Any]:
        # Bound methods do not become methods; functions do.
        recorded = getattr(self, f"_{name}")

        async def operation(promise: _Promise, *args: Any, **kwargs: Any) -> Any:
            return await recorded(promise, *args, **kwargs)

        operation.__name__ = name
        operation.__doc__ = self._originals[name].__doc__
        return operation

    def _tell(self, promise: _Promise, kind: Kind, *, seen: bool = False) -> None:
        state: State[bytes] | None = promise._seen if seen else None  # noqa: SLF001 - of one family
        self._report(
            Event(
                self._process,
                os.getpid(),
                kind,
                promise.id,
                promise.url,
                look_of(state).word if state is not None else "",
                preview(state, _TEXT_LIMIT),
            )
        )

    async def _peek(self, promise: _Promise) -> State[Any]:
        state: State[Any] = await self._originals["peek"](promise)
        self._tell(promise, "peeked", seen=True)
        return state

    async def _get(self, promise: _Promise, timeout: float | None = None) -> Any:
        self._tell(promise, "awaiting")
        try:
            value = await self._originals["get"](promise, timeout)
        except PromiseRejectedError:
            self._tell(promise, "got", seen=True)
            raise
        except BaseException:
            self._tell(promise, "left")
            raise
        self._tell(promise, "got", seen=True)
        return value

    async def _resolve(self, promise: _Promise, value: Any = None) -> _Settled:
        return await self._settle(promise, "resolve", value)

    async def _reject(self, promise: _Promise, error: str) -> _Settled:
        return await self._settle(promise, "reject", error)

    async def _settle(self, promise: _Promise, name: str, argument: Any) -> _Settled:
        self._tell(promise, "settling")
        try:
            won: _Settled = await self._originals[name](promise, argument)
        except BaseException:
            self._tell(promise, "failed")
            raise
        asked = _ASKED[name](argument)
        stands: Outcome[bytes] = promise._seen  # type: ignore[assignment] # noqa: SLF001 - of one family
        self._tell(promise, "won" if _same(asked, stands) else "refused", seen=True)
        return won

    async def _dispose(self, promise: _Promise) -> None:
        await self._originals["dispose"](promise)
        self._tell(promise, "disposed")


_ASKED: Final[dict[str, Callable[[Any], Outcome[bytes]]]] = {
    "resolve": lambda value: Resolved(encode(value)),
    "reject": Rejected,
}


def _same(one: Outcome[bytes], other: Outcome[bytes]) -> bool:
    """Tell whether two outcomes mean the same, however their JSON is spaced."""
    match one, other:
        case Resolved(text), Resolved(other_text):
            return bool(decode(text) == decode(other_text))
        case _:
            return one == other
