"""`RemoteCell`: a cell that runs in a process, and its `CellResult`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

from dp_core._text import coloured, for_terminal
from dp_core.notebook.pictures import bundle, show
from dp_core.notebook.processes._kernel import CellReply, Kernel, Message

__all__ = ["WAITS", "CellResult", "CellResults", "RemoteCell"]

WAITS: Final = "application/vnd.durable-promises.waits+json"
"""The MIME type of the message, after all output, that the cell waits now."""


@final
@dataclass(frozen=True, slots=True)
class CellResult:
    """
    The outcome of a cell in a process.

    Attributes:
        process: The process's name.
        pid: Its number.
        text: Its standard output.
        value: The value of its last expression, as text; empty if none.
        error: ``Name: text`` of the error that it raised; empty if none.
        died: Whether the process was gone before the cell had ended.
        traceback: Lines, as the process showed them.
    """

    process: str
    pid: int
    text: str
    value: str = ""
    error: str = ""
    died: bool = False
    traceback: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether the cell ran to its end."""
        return not self.died and not self.error

    def __str__(self) -> str:
        if self.died:
            return f"☠ {self.process} ({self.pid}) died"
        if self.error:
            return f"! {self.process}: {for_terminal(self.error)}"
        return f"✔ {self.process}"

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:
        """Show in IPython how it ended; its output was shown already."""
        printer.text(str(self))


@final
class CellResults(dict[str, CellResult]):
    """``{name: result}``, shown in one line."""

    def __repr__(self) -> str:
        return "  ".join(map(str, self.values()))

    def _repr_pretty_(self, printer: Any, cycle: object) -> None:
        printer.text(repr(self))


@final
class RemoteCell:
    """
    A cell that runs in a process.

    Its output appears in the notebook's cell that began it: IPython routes output by
    context, and a task keeps the context it was made in. Once that cell has let it go,
    its output is kept, and appears where somebody joins it; so it appears once.

    Args:
        name: The process's name.
        width: How wide names are printed, so that lines align.
        kernel: The kernel that runs it.
        code: The cell.
        until: The text whose output sets `quiet`; None for the first wait.

    Attributes:
        task: Done with the cell; its result is the `CellResult`.
        quiet: Set when the process begins to wait for a promise; or, where
            *until* is given, when it has printed that.
    """

    def __init__(
        self, name: str, width: int, kernel: Kernel, code: str, until: str | None = None
    ) -> None:
        self.kernel = kernel
        self.quiet = asyncio.Event()
        self._until = until
        self._name = name
        self._label = f"{name:<{width}} {kernel.pid}"
        self._rest: dict[str, str] = {}
        self._text: list[str] = []
        self._value = ""
        self._late: list[Callable[[], object]] | None = None
        self.task: asyncio.Task[CellResult] = asyncio.create_task(self._run(code))

    @property
    def text(self) -> str:
        """Its standard output so far."""
        return "".join(self._text)

    def let_go(self) -> None:
        """Keep the output from here on, for `catch_up`."""
        self._late = []

    def catch_up(self) -> None:
        """Show, in the running cell, the output since `let_go`."""
        late, self._late = self._late, None
        for put_out in late or ():
            put_out()

    async def _run(self, code: str) -> CellResult:
        reply = await self.kernel.run(code, self._hear)
        for stream, rest in self._rest.items():
            if rest:
                self._say(stream, rest)
        return self._result(reply)

    def _result(self, reply: CellReply) -> CellResult:
        return CellResult(
            self._name,
            self.kernel.pid,
            self.text,
            self._value,
            reply.error,
            reply.died,
            reply.traceback,
        )

    def _hear(self, message: Message) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._write(content["name"], content["text"])
        elif kind in ("display_data", "execute_result"):
            self._display(kind, content)

    def _write(self, stream: str, text: str) -> None:
        if stream == "stdout":
            self._text.append(text)
            if self._until is not None and self._until in self.text:
                self.quiet.set()
        *lines, self._rest[stream] = (self._rest.get(stream, "") + text).split("\n")
        for line in lines:
            self._say(stream, line)

    def _say(self, stream: str, line: str) -> None:
        labelled = f"{self._label} │ {coloured(line)}"
        if self._late is not None:
            # Shown in one go, on one stream: two would not keep their order.
            self._late.append(lambda: print(labelled, flush=True))  # noqa: T201 - it is a print
            return
        print(labelled, file=sys.stderr if stream == "stderr" else sys.stdout)

    def _display(self, kind: str, content: dict[str, Any]) -> None:
        data = content["data"]
        if WAITS in data:
            if self._until is None:
                self.quiet.set()
            return
        plain = data.get("text/plain", "")
        if kind == "execute_result":
            self._value = plain
        if data.keys() == {"text/plain"}:
            for line in plain.split("\n"):
                self._say("stdout", line)
            return

        if self._late is None:
            self._show(data, content)
        else:
            self._late.append(lambda: self._show(data, content))

    def _show(self, data: dict[str, Any], content: dict[str, Any]) -> None:
        show(bundle(f"{self._label} │"))
        show(data, content.get("metadata"))
