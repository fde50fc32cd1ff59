"""A typed program of somebody who has installed the library; never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

import dp_core as dp
from dp_backends.memory import MemoryBackend


@dataclass
class Invoice:
    """A value of theirs."""

    total: float


async def main(backend: MemoryBackend) -> None:
    """Use what is public, with types that are told to a checker."""
    async with dp.connect("file:./promises") as promises:
        invoice = promises.promise("invoice", Invoice)
        assert_type(await invoice, Invoice)
        assert_type(await invoice.resolve(Invoice(1.5)), dp.Outcome[Invoice])
        async for info in promises.list(state="pending"):
            assert_type(info.id, str)
        await invoice.resolve("not an invoice")  # type: ignore[arg-type]
    assert_type(await backend.peek("id"), dp.State[bytes])
