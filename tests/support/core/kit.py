"""A small right store for the kit, and the report on one."""

from __future__ import annotations

import anyio

from dp_core import Backend, Outcome, Pending, State
from dp_core.testing import LAWS, ConformanceError, Effort, Report, check_backend

QUICK = Effort(histories=2, crowd=16, volume=40, linger=0.05, patience=1.0)


class Store(Backend):
    """A small right backend for one event loop; subclasses break it."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome[bytes]] = {}
        self.changed = anyio.Event()

    async def peek(self, id: str) -> State[bytes]:
        return self.outcomes.get(id, Pending())  # type: ignore[return-value] # the union is one

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        stands = self.outcomes.setdefault(id, outcome)
        self.changed.set()
        self.changed = anyio.Event()
        return stands

    async def wait(self, id: str) -> Outcome[bytes]:
        while id not in self.outcomes:
            await self.changed.wait()
        return self.outcomes[id]

    async def dispose(self, id: str) -> None:
        self.outcomes.pop(id, None)

    async def aclose(self) -> None:
        pass


async def verdict(store: Backend, *names: str, effort: Effort = QUICK) -> Report:
    """Return the report on the laws *names* for a store, right or wrong."""
    laws = [LAWS[name] for name in names]
    try:
        return await check_backend(
            lambda: store, durable=True, shared=True, laws=laws, effort=effort, seed=1
        )
    except ConformanceError as error:
        return error.report
