"""`Kernel`: one kernel process: to start, run code in, signal, and kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any, Final, final

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from dp_core.notebook.processes._end_watch import ProcessEnd, watch_end
from dp_core.notebook.processes._errors import ProcessStartError
from dp_core.notebook.processes._pipes import PROCESS
from dp_core.notebook.processes._resources import FleetResources

__all__ = ["CellReply", "Kernel", "Message"]

_START: Final = 60.0
_UNDER_WAY: Final = 0.1
"""Seconds in which the output of a process that has died arrives."""
_PATH: Final = 90
"""The longest path to sockets in bytes: ``sun_path`` has 104 to 108."""

Message = dict[str, Any]
Hook = Callable[[Message], object]


@final
@dataclass(frozen=True, slots=True)
class CellReply:
    """
    The end of a cell.

    Attributes:
        died: Whether the process was gone before the cell had ended.
        error: ``Name: text`` of the error that it raised; empty if none.
        traceback: Its traceback, as the kernel showed it.
    """

    died: bool = False
    error: str = ""
    traceback: tuple[str, ...] = field(default=(), repr=False)


class _KernelManager(AsyncKernelManager):
    """Runs this interpreter, whatever kernels are registered on the machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        module = _KernelManager.__module__.rpartition(".")[0] + "._kernel_main"
        argv = [sys.executable, "-P", "-m", module, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="process", language="python")


@final
class Kernel:
    """
    A kernel process that is running.

    Made by `start`. It never comes back by itself: a killed one stays dead.

    Attributes:
        pid: The process's number.
        end: Done when the process is gone.
    """

    def __init__(self, manager: AsyncKernelManager) -> None:
        self._manager = manager
        self._client: AsyncKernelClient = manager.client(context=manager.context)
        self._process: Popen[bytes] = manager.provisioner.process  # type: ignore[union-attr] # it was started
        self.pid = self._process.pid
        self.end: asyncio.Future[ProcessEnd] = watch_end(self._process)

    @classmethod
    async def start(
        cls,
        name: str,
        resources: FleetResources,
        env: Mapping[str, str],
        there: Callable[[Kernel], object],
    ) -> Kernel:
        """
        Start a process and return it when it is ready.

        Args:
            name: The process's name, for its environment.
            resources: Those of the fleet; the process ends with them.
            env: Added to this process's environment.
            there: Called as soon as there is a process, ready or not.

        Raises:
            ProcessStartError: It did not start, and nothing of it is left.
        """
        place, pipes = resources.new_place(), resources.pipes
        # Without a connection file of its own, jupyter_client takes sockets in
        # the current directory, the same for all.
        short = len(os.fsencode(place)) <= _PATH
        manager = _KernelManager(
            transport="ipc" if short else "tcp",
            connection_file=f"{place}.json",
            context=resources.context,
        )
        errors = Path(f"{place}.err")
        environment = {
            **os.environ,
            **env,
            **pipes.env,
            PROCESS: name,
            # A profile of one's own may print or import anything.
            "IPYTHONDIR": f"{place}.ipython",
        }
        try:
            with errors.open("wb") as stderr:  # noqa: ASYNC230 - opened for the child
                await _whole(
                    manager.start_kernel(
                        env=environment,
                        stdin=DEVNULL,
                        stdout=DEVNULL,
                        stderr=stderr,
                        pass_fds=pipes.inherited,
                    )
                )
            kernel = cls(manager)
            there(kernel)
            try:
                await kernel._connect()
            except BaseException:
                kernel._hang_up()
                raise
        except BaseException as error:
            await _whole(_end(manager))
            if isinstance(error, RuntimeError):
                raise ProcessStartError(name, _reason(errors)) from None
            if isinstance(error, OSError | zmq.ZMQError):
                raise ProcessStartError(name, str(error)) from None
            raise
        return kernel

    async def _connect(self) -> None:
        # A thread and six files less than with all of them.
        self._client.start_channels(stdin=False, hb=False, control=False)
        await self._client.wait_for_ready(timeout=_START)
        await self.run("%load_ext dp_core.notebook", lambda message: None)

    async def run(self, code: str, hook: Hook) -> CellReply:
        """
        Run a cell to its end, or until the process is gone.

        Args:
            code: The cell.
            hook: Called with each message of its output, as it comes.
        """
        cell = asyncio.ensure_future(
            self._client.execute_interactive(
                code,
                allow_stdin=False,
                store_history=False,
                stop_on_error=False,
                output_hook=hook,
            )
        )
        try:
            ends: set[asyncio.Future[Any]] = {cell, self.end}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            # What it said before it died may still be under way.
            await asyncio.wait({cell}, timeout=_UNDER_WAY)
            if not cell.done():
                return CellReply(died=True)
            content = cell.result()["content"]
        finally:
            cell.cancel()
            await asyncio.wait({cell})
        if content["status"] == "ok":
            return CellReply()
        error = f"{content.get('ename', 'Aborted')}: {content.get('evalue', '')}"
        return CellReply(error=error, traceback=tuple(content.get("traceback", ())))

    def interrupt(self) -> None:
        """Send what the Stop button sends."""
        self._process.send_signal(signal.SIGINT)

    async def kill(self) -> None:
        """Send what ``kill -9`` sends, and return when the process is gone."""
        # Popen knows when the number is not this process's any more.
        self._process.send_signal(signal.SIGKILL)
        await asyncio.wait({self.end})

    async def close(self) -> None:
        """End the process and close its sockets; no cell may be running."""
        self._hang_up()
        await _end(self._manager)

    def _hang_up(self) -> None:
        # Not `stop_channels`: it would make the others, to ask whether they run.
        for channel in (self._client.shell_channel, self._client.iopub_channel):
            channel.stop()


async def _end(manager: AsyncKernelManager) -> None:
    if manager.has_kernel:
        await manager.shutdown_kernel(now=True)
    else:
        await manager.cleanup_resources()


async def _whole(step: Awaitable[object]) -> None:
    """Run a step to its end also when we are cancelled: half of it would be left."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _reason(errors: Path) -> str:
    """Return the reason why a kernel died, in one sentence."""
    lines = errors.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if "No module named" in last and "pip install" not in last:
        return f"{last}; notebooks need: pip install 'durable-promises[notebook]'"
    return last or "its kernel ended without a word"
