"""
Processes that open a store, settle a promise and end, again and again.

``python -m support.sqlite.coming_and_going PATH PROCESSES SECONDS ROUNDS``: each of the
processes does so until it has done all its rounds, or the time is over. Every other one
ends without closing the store. Prints how many promises were settled, once all of them
were found again, and the database is whole.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio

from dp_core import Resolved, connect
from support.sqlite.stores import rows

__all__: list[str] = []


async def _settle(path: str, id: str, abrupt: bool) -> None:
    async with connect(f"sqlite:{path}") as promises:
        won = await promises.promise(id).resolve(id)
        if won == Resolved(id) and abrupt:
            os._exit(0)


def _come_and_go(path: str, name: int, until: float, rounds: int) -> None:
    told = os.open(f"{path}-told-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(rounds):
        if time.monotonic() > until:
            return
        id = f"{name}-{number}"
        child = os.fork()
        if child == 0:
            try:
                anyio.run(_settle, path, id, number % 2 == 0)
            except BaseException as error:  # noqa: BLE001 - it is reported
                os.write(2, f"{id}: {error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            os._exit(1)
        os.write(told, f"{id}\n".encode())


async def _found(path: str, ids: list[str]) -> None:
    async with connect(f"sqlite:{path}") as promises:
        for id in ids:
            assert Resolved(id) == await promises.promise(id).peek(), f"{id} was lost"


def main(path: str, processes: str, seconds: str, rounds: str) -> None:
    """Let them come and go; check what they leave."""
    until = time.monotonic() + float(seconds)
    anyio.run(anyio.sleep, 0)
    connect(f"sqlite:{path}")
    children: list[int] = []
    for name in range(int(processes)):
        child = os.fork()
        if child == 0:
            _come_and_go(path, name, until, int(rounds))
            os._exit(0)
        children.append(child)
    assert {0} == {os.waitpid(child, 0)[1] for child in children}
    told = Path(path).parent.glob("*-told-*")
    ids = [id for file in told for id in file.read_text().split()]
    anyio.run(_found, path, ids)
    assert [("ok",)] == rows(Path(path), "PRAGMA integrity_check")
    print(len(ids))


if __name__ == "__main__":
    main(*sys.argv[1:])
