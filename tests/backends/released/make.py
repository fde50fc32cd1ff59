"""
Write a store as the installed version does, and what that version says of it.

    python tests/backends/released/make.py URL > told.json

It uses what every version has had, and terms where this one has them; so it also runs
with the code of an old commit. README.md beside it says how each store was made.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

import dp_core as dp

FAR = datetime(2999, 12, 31, 23, 59, 59, tzinfo=UTC)


async def main(url: str) -> None:
    """Write a store; print what is told of it."""
    async with dp.connect(url) as promises:
        ids = await settle(promises)
        with suppress(dp.NotSupportedError):
            ids += await create(promises)
        told = [await tell(promises.promise(id)) for id in ids]
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


async def settle(promises: dp.Promises) -> list[str]:
    """Settle and dispose; return the ids."""
    values: dict[str, object] = {
        "resolved": {"total": 12.5, "text": 'ä€😀 "\\\n', "rest": [True, None, []]},
        "null": None,
        "exact": 9007199254740993,
        "many": list(range(500)),
        "../../etc/passwd": "an odd id",
        "ünï😀 id": "another",
        " ": "a space",
        "x" * 1024: "the longest id",
        "two\nlines": "an id of two lines",
    }
    for id, value in values.items():
        await promises.promise(id).resolve(value)
    await promises.promise("rejected").reject("Oh dear, 😀")
    await promises.promise("disposed").resolve("gone")
    await promises.promise("disposed").dispose()
    await promises.promise("again").resolve("first")
    await promises.promise("again").dispose()
    await promises.promise("again").resolve("second")
    return [*values, "rejected", "disposed", "again"]


async def create(promises: dp.Promises) -> list[str]:
    """Give promises terms, and say who settles them; return the ids."""
    await promises.create(
        "created",
        deadline=FAR,
        otherwise=dp.Resolved({"default": True}),
        tags={"kind": "approval", "größe": "10 €"},
        data={"amount": 1200, "to": ["alice"]},
    )
    await promises.create("tagged", tags={"kind": "approval"})
    await promises.promise("tagged").resolve("yes", by="älice")
    await promises.create("refused", deadline=FAR, tags={"kind": "other"})
    await promises.promise("refused").reject("no", by="bob")
    await promises.promise("early").resolve("before its terms", by="webhook")
    await promises.create("early", data="later")
    await promises.create("begun again", deadline=FAR, tags={"round": "1"})
    await promises.promise("begun again").dispose()
    await promises.create("begun again", deadline=FAR, tags={"round": "2"})
    await promises.create("expired", deadline=timedelta(milliseconds=1))
    with suppress(dp.PromiseRejectedError):
        await promises.promise("expired").get(timeout=10)
    # Nobody looks at this one again: its deadline passes while the store is away.
    await promises.create(
        "due", deadline=timedelta(seconds=3), otherwise=dp.Resolved("late")
    )
    return ["created", "tagged", "refused", "early", "begun again", "expired", "due"]


async def tell(promise: dp.DurablePromise[Any]) -> dict[str, object]:
    """Return all that this version says of a promise, as JSON."""
    told: dict[str, object] = {"id": promise.id, **shown(await promise.peek())}
    with suppress(dp.NotSupportedError):
        info = await promise.info()
        told |= {
            "created_at": info.created_at and info.created_at.isoformat(),
            "settled_at": info.settled_at and info.settled_at.isoformat(),
            "settled_by": info.settled_by,
            "expired": info.expired,
        }
        if info.terms is not None:
            terms = info.terms
            told["terms"] = {
                "deadline": terms.deadline and terms.deadline.isoformat(),
                "otherwise": shown(terms.otherwise),
                "tags": dict(terms.tags),
                "data": terms.data,
            }
    return told


def shown(state: object) -> dict[str, object]:
    """Return a state as JSON."""
    match state:
        case dp.Resolved(value):
            return {"value": value}
        case dp.Rejected(error):
            return {"error": error}
    return {}


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
