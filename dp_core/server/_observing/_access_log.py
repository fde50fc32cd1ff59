"""
`AccessLog`: a line for each request, as JSON.

A line tells what was asked for and what came of it. It has neither a query nor a header
of the request, in which tokens travel. It is ASCII, with everything else escaped, so
that no path makes two lines of one, or drives a terminal.

A file that was renamed or removed, as logrotate does it, is made anew. A thread writes
the lines: a full disk, or a pipe that nobody reads, holds no request up. Lines that
cannot be written are counted, and their number is told once there is room again.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections import deque
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final, final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dp_core._errors import BackendUnavailableError
from dp_core._text import quoted

__all__ = ["SUB", "AccessLog"]

SUB: Final = "dp.sub"
"""The key of a scope for who has sent a request, as the token names them."""

MOST_LINES: Final = 10_000
"""The most lines that wait to be written; of more, only the number is told."""

_LONGEST_PATH: Final = 2000
_IDLE_SECONDS: Final = 1.0
_STDERR: Final = 2


@final
class AccessLog:
    """
    The access log of one app, and the app behind it.

    Args:
        app: What answers.
        path: The file; ``-`` for stderr.

    Raises:
        BackendUnavailableError: The file cannot be written.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        self._is_running = False
        self._is_closed = False
        self._is_torn = False  # The file ends in a part of a line.
        self._file = -1
        if path == "-":
            self._file = _STDERR
            return
        try:
            self._file = self._open()
        except (OSError, ValueError) as error:
            raise BackendUnavailableError(
                f"cannot write the access log {quoted(path)}: {error}; name a file in "
                "a directory of yours, or - for stderr"
            ) from None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and write the line about it."""
        began, status, size = perf_counter(), None, 0

        async def counted(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            self._put(_line(scope, status, size, perf_counter() - began))

    def close(self) -> None:
        """Write what waits to be written, unless that takes over a second."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_running, _IDLE_SECONDS)
            if not self._is_running and self._file > _STDERR:
                os.close(self._file)
                self._file = -1

    def _put(self, line: str) -> None:
        with self._changed:
            if self._is_closed:
                return
            if len(self._lines) >= MOST_LINES:
                self._dropped += 1
                return
            self._lines.append(line)
            if not self._is_running:
                thread = threading.Thread(target=self._run, name="dp-log", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # There may be no more threads now; the next line tries it again.
                    return
                self._is_running = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._lines or self._is_closed, _IDLE_SECONDS
                )
                if not self._lines:
                    self._is_running = False
                    self._changed.notify_all()
                    return
                lines = [*self._lines]
                if dropped := self._dropped:
                    lines.append(json.dumps({"dropped": dropped}) + "\n")
                self._lines.clear()
            lost = self._write("".join(lines).encode())
            with self._changed:
                # The line about those that were dropped is the last of all.
                self._dropped += lost - bool(dropped) if lost else -dropped

    def _write(self, text: bytes) -> int:
        """Write lines, and return how many of them were not written."""
        try:
            if self._path != "-" and not self._is_ours():
                old, self._file = self._file, self._open()
                os.close(old)
            if self._is_torn:
                os.write(self._file, b"\n")
                self._is_torn = False
            while text:
                size = os.write(self._file, text)
                self._is_torn = not text[:size].endswith(b"\n")
                text = text[size:]
        except OSError:
            # Nobody reads it any more, or there is no room. Requests go on.
            return text.count(b"\n")
        return 0

    def _is_ours(self) -> bool:
        """Return whether the path still leads to the file that is open."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - as the kernel has it
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._file))

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        # Else a named pipe would be waited for until somebody reads it.
        file = os.open(self._path, flags | os.O_NONBLOCK, 0o640)
        os.set_blocking(file, True)
        self._is_torn = _is_torn(self._path, file)
        return file


def _is_torn(path: str, file: int) -> bool:
    """Return whether a file ends in a part of a line, as a full disk leaves it."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return False
    try:
        with open(path, "rb") as found:  # noqa: PTH123 - as the kernel has it
            found.seek(-1, os.SEEK_END)
            return found.read() != b"\n"
    except OSError:
        return False  # It may be written, and not read.


def _line(scope: Scope, status: int | None, size: int, seconds: float) -> str:
    path = scope.get("raw_path") or scope["path"].encode(errors="replace")
    client: Any = scope.get("client")
    said = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "client": client[0] if client else None,
        "sub": scope.get(SUB),
        "method": scope["method"][:20],
        "path": _shown(path.partition(b"?")[0]),
        "status": status,
        "bytes": size,
        "seconds": round(seconds, 6),
    }
    return json.dumps(said) + "\n"


def _shown(path: bytes) -> str:
    shown = path[: _LONGEST_PATH + 1].decode(errors="backslashreplace")
    return shown if len(path) <= _LONGEST_PATH else f"{shown[:_LONGEST_PATH]}…"
