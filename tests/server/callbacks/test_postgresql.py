"""Callbacks of a store in PostgreSQL, made by two servers at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import dp_core.sync as blocking
from support.postgresql.server import running as postgres_running
from support.server.calling import SECRET
from support.server.receivers import Receiver, receiving
from support.server_process import running

TERMS: Final[dict[str, dict[str, Any]]] = {
    "before": {},
    "after": {},
    "over": {"deadline": timedelta(milliseconds=50)},
}


def test_promises_are_told() -> None:
    """Each is told, by its id: also what was settled before, and by its deadline."""
    options = {"secrets": [SECRET], "notify_allow": ["127.0.0.1"]}
    with (
        receiving() as receiver,
        postgres_running() as database,
    ):
        _tell(receiver, database.url(schema=database.new_schema()), options)


def _tell(receiver: Receiver, url: str, options: dict[str, Any]) -> None:
    with (
        running(url, **options),
        running(url, **options),
        blocking.connect(url) as promises,
    ):
        promises.promise("before").resolve(1)
        made = dict[str, str]()
        for id, terms in TERMS.items():
            promise = promises.create(id, notify=[receiver.url], **terms)
            assert promise.terms is not None
            made[str(promise.terms.notify[0].delivery)] = id
        promises.promise("after").resolve(2)
        outcomes = [promises.promise(id).get(timeout=60) for id in made]
        told = [receiver.next() for _ in made]
        told += [receiver.received.get() for _ in range(receiver.received.qsize())]
        shown = {info.id for info in promises.list()}

    assert [{"status": 204}] * 3 == outcomes
    assert made == {
        each.headers["webhook-id"]: each.json()["promiseId"] for each in told
    }
    assert set(made.values()) == shown
