"""Errors of what was asked: ids, times, types, terms, and where it was asked."""

from __future__ import annotations

from dp_core._errors._base import DurablePromiseError
from dp_core._text import quoted

__all__ = [
    "AsyncMismatchError",
    "EventLoopRunningError",
    "InvalidLinkError",
    "InvalidPromiseIdError",
    "InvalidQueryError",
    "InvalidTermsError",
    "InvalidTimeoutError",
    "InvalidTypeError",
]


class InvalidPromiseIdError(DurablePromiseError, ValueError):
    """
    The text cannot be the id of a promise.

    Attributes:
        id: What was given as an id.
        reason: What is wrong with it.
    """

    def __init__(self, id: object, reason: str) -> None:
        super().__init__(id, reason)
        self.id = id
        self.reason = reason

    def __str__(self) -> str:
        shown = f"an object of type {type(self.id).__name__}"
        if isinstance(self.id, str):
            shown = quoted(self.id)
        return (
            f"invalid promise id {shown}: {self.reason} (an id is 1 to 1,024 "
            "bytes of UTF-8 without NUL)"
        )


class InvalidTimeoutError(DurablePromiseError, ValueError):
    """
    A time limit is not a length of time.

    Attributes:
        shown: What was given, as text.
    """

    def __init__(self, shown: str) -> None:
        super().__init__(shown)
        self.shown = shown

    def __str__(self) -> str:
        return (
            f"{self.shown} is not a valid timeout: write a number of seconds, 0 or "
            "more, or None for as long as it takes"
        )


class InvalidTypeError(DurablePromiseError, TypeError):
    """
    A promise cannot have values of this type.

    Attributes:
        shown: What was given as a type, as text.
        reason: What is wrong with it, and what to write instead.
    """

    def __init__(self, shown: str, reason: str) -> None:
        super().__init__(shown, reason)
        self.shown = shown
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.shown} is not a valid type of values: {self.reason}"


class InvalidTermsError(DurablePromiseError, ValueError):
    """
    No promise can have these terms, or this settler.

    Attributes:
        reason: What is wrong with them, and what to write instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidQueryError(DurablePromiseError, ValueError):
    """
    Promises cannot be listed, or pruned, by this.

    Attributes:
        reason: What is wrong with it, and what to write instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidLinkError(DurablePromiseError, ValueError):
    """
    No link can be made from this.

    Attributes:
        reason: What is wrong with it, and what to write instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EventLoopRunningError(DurablePromiseError, RuntimeError):
    """
    A call of `dp_core.sync` would have blocked the event loop of this thread.

    Attributes:
        written: How to write the call here.
    """

    def __init__(self, written: str) -> None:
        super().__init__(written)
        self.written = written

    def __str__(self) -> str:
        return (
            "an event loop runs in this thread (as in every Jupyter cell), and a call "
            "of dp_core.sync would stop it: import dp_core, without .sync, and write "
            f"`{self.written}`; or let a thread call it, by asyncio.to_thread"
        )


class AsyncMismatchError(DurablePromiseError, TypeError):
    """
    An async handle was used as a blocking one, or the other way round.

    Attributes:
        used: What was written.
        written: How to write it with this handle.
    """

    def __init__(self, used: str, written: str) -> None:
        super().__init__(used, written)
        self.used = used
        self.written = written

    def __str__(self) -> str:
        if self.used.startswith(("async", "await")):
            return (
                f"`{self.used}` is not a valid use of a handle of dp_core.sync, which "
                "blocks: import dp_core, without .sync, where code is async; elsewhere "
                f"write `{self.written}`"
            )
        return (
            f"`{self.used}` is not a valid use of a handle of dp_core, which is async: "
            f"write `{self.written}` in a coroutine; elsewhere import dp_core.sync"
        )
