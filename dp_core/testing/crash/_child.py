"""
`serve`: the loop of the program whose processes are killed.

Starting Python takes a hundred times as long as a settle, so the program
starts once and forks a process for each request. Requests and replies are
lines:

======================================== =====================================
``{"url", "steps", "acks"}`` on stdin    the forked process's id on stdout;
                                         the process waits; with ``"abrupt"``
                                         it ends at its last acknowledgement
``go``                                   it performs the steps, and appends a
                                         line to the file *acks* after each;
                                         its wait status once it has ended
======================================== =====================================

The acknowledgements go to a file, because a file outlives the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import anyio

from dp_core import (
    DurablePromiseError,
    Pending,
    Promises,
    Rejected,
    Resolved,
    State,
    connect,
)
from dp_core.testing.crash._model import Step

__all__ = [
    "Acknowledge",
    "Perform",
    "perform",
    "perform_on",
    "serve",
    "state_from_json",
]

Acknowledge = Callable[[State[Any] | None], None]
"""
Called after each step with its result: `Pending` if it has none, None for an error of
a step that may fail.
"""

Perform = Callable[[str, list[Step], Acknowledge], None]
"""Performs the steps on the store of a URL."""

_PR_SET_PTRACER: Final = 0x59616D61
_CHUNK: Final = 65536
_OVER: Final = datetime(2001, 2, 3, tzinfo=UTC)


async def perform(promises: Promises, step: Step) -> State[Any]:
    """
    Perform a step through the public interface; return its result.

    Raises:
        ValueError: It is an operation of another child program.
    """
    promise = promises.promise(step.promise)
    match step.do:
        case "peek":
            return await promise.peek()
        case "resolve":
            return await promise.resolve(step.value)
        case "reject":
            return await promise.reject(step.value)
        case "dispose":
            await promise.dispose()
            return Pending()
        case "expire":
            over = Resolved(step.value)
            await promises.create(step.promise, deadline=_OVER, otherwise=over)
            return Pending()
        case _:
            raise ValueError(f"the public interface cannot do {step.do!r}")


def serve(perform: Perform, warm_up: Callable[[str], object] | None = None) -> None:
    """
    Fork a process for each request on stdin, until that ends.

    Args:
        perform: Performs the steps, in the forked process.
        warm_up: Called with the store's URL before the fork, so that imports
            are not made, and traced, in every process.
    """
    lines = _lines(0)
    for line in lines:  # pragma: no branch - the runner ends the program
        request = json.loads(line)
        if warm_up is not None:
            warm_up(request["url"])
        acks = os.open(request["acks"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _allow_tracing()
            theirs.send(b"!")
            # Wait here, so that every trace begins at the same system call.
            theirs.recv(1)
            _be_a_child(acks, request, perform)
        ours.recv(1)
        _reply(pid)
        next(lines)
        ours.send(b"!")
        _, status = os.waitpid(pid, 0)
        ours.close()
        theirs.close()
        os.close(acks)
        _reply(status)


def _allow_tracing() -> None:
    """Let other processes of the same user trace this one, not only its parent."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # pragma: no branch - not on macOS
        # Needed where the Yama module restricts tracing (prctl(2)); fails elsewhere.
        prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


def _lines(fd: int) -> Iterator[str]:
    data = b""
    while chunk := os.read(fd, _CHUNK):  # pragma: no branch - as above
        *lines, data = (data + chunk).split(b"\n")
        yield from (line.decode() for line in lines)


def _reply(number: int) -> None:
    os.write(1, b"%d\n" % number)


def _be_a_child(acks: int, request: dict[str, Any], perform: Perform) -> NoReturn:
    steps = [Step(*fields) for fields in request["steps"]]
    left = len(steps)

    def acknowledge(answer: object) -> None:
        nonlocal left
        # No other code calls writev, so this is a point of its own in a trace.
        os.writev(acks, [json.dumps(answer).encode() + b"\n"])
        left -= 1
        if request["abrupt"] and not left:
            os._exit(0)

    try:
        perform(request["url"], steps, lambda state: acknowledge(_to_json(state)))
    except BaseException as error:  # noqa: BLE001 - it is reported, and the process ends
        acknowledge({"failed": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)


def _to_json(state: State[Any] | None) -> object:
    match state:
        case None:
            return {"unknown": True}
        case Pending():
            return None
        case Resolved(value):
            return {"value": value}
        case Rejected(error):
            return {"error": error}


def state_from_json(answer: dict[str, Any] | None) -> State[Any] | None:
    """Return the state in a line of the acknowledgements; None if it is unknown."""
    match answer:
        case {"unknown": True}:
            return None
        case None:
            return Pending()
        case {"value": value}:
            return Resolved(value)
        case {"error": error}:
            return Rejected(error)
        case _:
            raise ValueError(f"not a valid acknowledgement: {answer!r}")


def perform_on(loop: str) -> Perform:
    """Return a function that performs steps by the public interface, on *loop*."""

    async def run(url: str, steps: Iterable[Step], acknowledge: Acknowledge) -> None:
        async with connect(url) as promises:
            for step in steps:
                try:
                    answer: State[Any] | None = await perform(promises, step)
                except DurablePromiseError:
                    if not step.may_fail:
                        raise
                    answer = None
                acknowledge(answer)

    return lambda *args: anyio.run(run, *args, backend=loop)
