"""A notebook's kernel, as a front end sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

__all__ = ["Cell", "Manager", "Notebook", "gone"]


class Manager(AsyncKernelManager):
    """
    Runs the interpreter that runs the tests.

    What a library of C writes to the process's own stdout or stderr, past Python's,
    is no output of a cell: where pytest runs ipykernel leaves it out by itself, and
    `make notebooks` would store it.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv.append("--IPKernelApp.capture_fd_output=False")
        return KernelSpec(argv=argv, display_name="test", language="python")


@dataclass
class Cell:
    """
    The output of a cell.

    Attributes:
        text: What it printed, and the plain text of what it showed.
        html: The HTML of what it showed.
        error: ``Name: text`` of its error; empty if none.
        traceback: Lines that it shows of the error.
    """

    text: str = ""
    html: str = ""
    error: str = ""
    traceback: str = ""
    shown: dict[str, dict[str, str]] = field(default_factory=dict)

    def hear(self, message: Mapping[str, Any]) -> None:
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                self.text += content["text"]
            case "display_data" | "execute_result":
                self.text += content["data"].get("text/plain", "") + "\n"
                self.html += content["data"].get("text/html", "")
            case "update_display_data":
                name = content["transient"]["display_id"]
                self.shown[name] = content["data"]
            case "error":
                self.error = f"{content['ename']}: {content['evalue']}"
                self.traceback = "\n".join(content["traceback"])

    def says(self, text: str) -> bool:
        """Tell whether the cell shows a text, printed or in a display it updated."""
        updated = (data.get("text/plain", "") for data in self.shown.values())
        return text in self.text or any(text in one for one in updated)


@dataclass
class Notebook:
    """A kernel that runs cells one after another."""

    manager: AsyncKernelManager
    client: AsyncKernelClient

    @classmethod
    @asynccontextmanager
    async def open(
        cls, directory: Path, env: Mapping[str, str]
    ) -> AsyncIterator[Notebook]:
        """Start a kernel in a directory; nothing of it is left behind."""
        # The paths of sockets must be short, and the test's directory is not.
        place = f"/tmp/dp-test-{os.getpid()}-{id(directory)}"  # noqa: S108 - removed below
        manager = Manager(transport="ipc", connection_file=f"{place}.json")
        await manager.start_kernel(cwd=str(directory), env={**os.environ, **env})
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            yield cls(manager, client)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)
            for path in Path(place).parent.glob(f"{Path(place).name}*"):
                path.unlink()

    @property
    def pid(self) -> int:
        pid = self.manager.provisioner.pid  # type: ignore[union-attr] # it was started
        assert isinstance(pid, int)
        return pid

    async def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        cell = Cell()
        await self.client.execute_interactive(
            code, timeout=60, allow_stdin=False, output_hook=cell.hear
        )
        return cell

    async def run_until(self, code: str, said: str) -> tuple[asyncio.Task[Cell], Cell]:
        """Run a cell until it has put out some text; it goes on."""
        cell, event = Cell(), asyncio.Event()

        def hear(message: Mapping[str, Any]) -> None:
            cell.hear(message)
            if cell.says(said):
                event.set()

        async def run() -> Cell:
            await self.client.execute_interactive(
                code, timeout=60, allow_stdin=False, output_hook=hear
            )
            return cell

        task = asyncio.create_task(run())
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        assert not task.done(), f"the cell has ended: {cell}"
        return task, cell

    def press_stop(self) -> None:
        """Do what the Stop button does."""
        os.kill(self.pid, signal.SIGINT)


def gone(pids: list[int], seconds: float = 30) -> bool:
    """Tell whether processes end by themselves."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        process.kill()
    return not alive
