"""
An approval by a person, with a deadline.

A program asks for an approval and waits for it. Kill it while it waits, `kill -9` too,
and run it again: it waits for the same approval, until the same deadline. Answer it
from another shell, before or after, while it runs or not:

    python examples/example5.py [promise-id] [url] [--within SECONDS]

    dp list --state pending --tag kind=approval
    dp resolve my-example-5-id yes --by alice
    dp reject my-example-5-id "too expensive" --by bob

The first answer counts. If there is none before the deadline, the promise settles by
itself, whether this program runs or not; an answer that comes later is told so.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import timedelta

import dp_core as dp


async def run(id: str, url: str, within: float) -> None:
    """Ask for an approval, wait for it, and print who decided."""
    async with dp.connect(url) as promises:
        # Safe to repeat: the first terms stand, with the first deadline.
        approval = await promises.create(
            id,
            deadline=timedelta(seconds=within),
            otherwise=dp.Rejected("nobody answered in time"),
            tags={"kind": "approval"},
            data={"amount": 1200, "currency": "EUR"},
        )
        assert approval.terms is not None
        print(f"Waiting for '{id}' until {approval.terms.deadline}", flush=True)

        try:
            answer = await approval
        except dp.PromiseRejectedError as rejection:
            answer = f"no, {rejection.error}"

        info = await approval.info()
        who = "the deadline" if info.expired else info.settled_by or "somebody"
        print(f"Decided by {who}: {answer}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="An approval with a deadline.")
    parser.add_argument("id", nargs="?", default="my-example-5-id")
    parser.add_argument("url", nargs="?", default=dp.default_url())
    parser.add_argument("--within", type=float, default=3 * 24 * 3600)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        asyncio.run(run(**vars(arguments())))
    except dp.DurablePromiseError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
