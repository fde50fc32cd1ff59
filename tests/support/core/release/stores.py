"""Stores that older versions have written, and all that is expected of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, Final

import anyio

import dp_core as dp
from support.paths import TESTS

__all__ = ["STORES", "create_at_once", "go_on", "told", "told_by"]

STORES: Final = TESTS / "backends" / "released" / "stores"
"""A directory for each store: the store, and what the version that wrote it told."""

_TAG: Final = {"kind": "approval"}
_FAR: Final = datetime(2999, 12, 31, tzinfo=UTC)
_OUTCOMES: Final = {"value", "error"}


def told_by(name: str) -> list[dict[str, Any]]:
    """Return what is expected of a store: what was told by the version that wrote it.

    But for a deadline, which has passed since then.
    """
    text = (STORES / name / "told.json").read_text(encoding="utf-8")
    told: list[dict[str, Any]] = json.loads(text)
    over = {"value": "late", "expired": True, "settled_at": "afterwards"}
    return [each | over if each["id"] == "due" else each for each in told]


async def told(url: str, expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Return what this version tells of the promises of a store.

    Raises:
        AssertionError: Its ways to read them tell different things.
    """
    async with dp.connect(url) as promises:
        found = [_shown(await promises.promise(each["id"]).info()) for each in expected]
        for promise in found:
            state = await promises.promise(promise["id"]).peek()
            assert _outcome(state) == {
                key: value for key, value in promise.items() if key in _OUTCOMES
            }
        listed = [_shown(info) async for info in promises.list()]
        tagged = [info.id async for info in promises.list(tags=_TAG)]
        pending = [info.id async for info in promises.list(state="pending")]
    # A promise that was disposed of is not in the store.
    assert [promise for promise in found if promise["id"] != "disposed"] == listed
    assert [
        promise["id"]
        for promise in found
        if promise.get("terms", {}).get("tags", {}).get("kind") == "approval"
    ] == tagged
    assert [
        promise["id"] for promise in listed if not _OUTCOMES & promise.keys()
    ] == pending
    # The oldest versions had no info.
    return [
        {key: value for key, value in promise.items() if key in before}
        for promise, before in zip(found, expected, strict=True)
    ]


async def go_on(url: str, *, has_terms: bool) -> None:
    """
    Settle, create, dispose and wait in a store, as in a new one.

    Raises:
        AssertionError: Something is not as it would be there.
    """
    async with dp.connect(url) as promises, dp.connect(url) as others:
        late = await promises.promise("resolved").reject("too late")
        assert isinstance(late, dp.Resolved)
        assert dp.Resolved("second") == await promises.promise("again").peek()
        if has_terms:
            stands = await promises.create("created", tags={"kind": "new"})
            assert stands.terms is not None
            assert "approval" == stands.terms.tags["kind"]
        heard: list[object] = []

        async def wait(id: str) -> None:
            heard.append(await others.promise(id).get())

        await promises.create("new", tags=_TAG, deadline=_FAR)
        async with anyio.create_task_group() as tasks:
            for id in ("new", "disposed", *(["created"] if has_terms else [])):
                tasks.start_soon(wait, id)
                await anyio.wait_all_tasks_blocked()
                await promises.promise(id).resolve(id, by="carol")
        assert ["created", "disposed", "new"][not has_terms :] == sorted(
            map(str, heard)
        )
        found = {i.id async for i in others.list(tags=_TAG, state="resolved")}
        assert {"new", *(["created", "tagged"] if has_terms else [])} == found
        await promises.promise("rejected").dispose()
        assert dp.Pending() == await others.promise("rejected").peek()


def create_at_once(url: str, *ids: str) -> None:
    """Let processes, each of which opens the store, create a promise at once."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, url, id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for id in ids
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert b"ready\n" == racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=60)
    assert [0] * len(racers) == [racer.returncode for racer in racers]


_RACER: Final = """
import sys, anyio, dp_core as dp

async def main(url, id):
    async with dp.connect(url) as promises:
        print("ready", flush=True)
        sys.stdin.readline()
        await promises.create(id)

anyio.run(main, *sys.argv[1:])
"""


def _shown(info: dp.PromiseInfo[Any]) -> dict[str, Any]:
    settled_at = info.settled_at and info.settled_at.isoformat()
    shown = {
        "id": info.id,
        **_outcome(info.state),
        "created_at": info.created_at and info.created_at.isoformat(),
        "settled_at": "afterwards" if info.id == "due" else settled_at,
        "settled_by": info.settled_by,
        "expired": info.expired,
    }
    if info.terms is not None:
        shown["terms"] = {
            "deadline": info.terms.deadline and info.terms.deadline.isoformat(),
            "otherwise": _outcome(info.terms.otherwise),
            "tags": dict(info.terms.tags),
            "data": info.terms.data,
        }
    return shown


def _outcome(state: object) -> dict[str, Any]:
    match state:
        case dp.Resolved(value):
            return {"value": value}
        case dp.Rejected(error):
            return {"error": error}
    return {}
