"""
The baseline of the PostgreSQL store: what people write by hand, with asyncpg.

A pool of 64 connections, for each promise one INSERT … ON CONFLICT that keeps the first
outcome, and a NOTIFY. Nothing is batched: that is what the store does for its callers.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count
from secrets import token_hex
from typing import Any

__all__ = ["asyncpg_settles"]

_POOL = 64


def asyncpg_settles(dsn: str, seconds: float, tasks: int = _POOL) -> float:
    """
    Return how many promises a second are settled by hand.

    Args:
        dsn: The database, in which a schema is made, and dropped again.
        seconds: For how long to do it.
        tasks: How many do it at once.
    """
    try:
        import asyncpg  # noqa: PLC0415 - only this needs it
    except ImportError:
        sys.exit("this baseline needs asyncpg: uv pip install asyncpg")
    return asyncio.run(_settles(asyncpg, dsn, seconds, tasks))


async def _settles(asyncpg: Any, dsn: str, seconds: float, tasks: int) -> float:
    async with asyncpg.create_pool(dsn, min_size=_POOL, max_size=_POOL) as pool:
        await pool.execute("DROP SCHEMA IF EXISTS by_hand CASCADE")
        await pool.execute("CREATE SCHEMA by_hand")
        await pool.execute(
            "CREATE TABLE by_hand.promises (id text PRIMARY KEY, outcome text)"
        )
        settle = "INSERT INTO by_hand.promises VALUES ($1, $2) ON CONFLICT DO NOTHING"
        run, numbers, done = token_hex(4), count(), 0
        ends = time.monotonic() + seconds

        async def work() -> None:
            nonlocal done
            while time.monotonic() < ends:
                async with pool.acquire() as connection:
                    await connection.execute(settle, f"{run}/{next(numbers)}", '"yes"')
                    await connection.execute("NOTIFY by_hand")
                done += 1

        begin = time.monotonic()
        await asyncio.gather(*(work() for _ in range(tasks)))
        took = time.monotonic() - begin
        await pool.execute("DROP SCHEMA by_hand CASCADE")
        return done / took
