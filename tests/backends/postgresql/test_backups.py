"""Promises are carried out of a PostgreSQL store, and into one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import dp_core as dp
from support.core.stores import create, infos, settle
from support.docs.backups import enter, is_whole
from support.postgresql.server import PostgresServer


def test_a_dump_of_a_store_in_use_is_whole(
    postgresql: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restored, it has all that was acknowledged before, and goes on from there."""
    url = postgresql.url(database=postgresql.new_database())
    monkeypatch.setenv("DATABASE", url)

    is_whole("postgresql dump", url, tmp_path, [])


def test_promises_are_copied_there_and_back(
    postgresql: PostgresServer, tmp_path: Path
) -> None:
    """With their terms, and who settled them."""
    url = postgresql.url(schema=postgresql.new_schema())
    source, back = (f"file:{tmp_path}/{name}" for name in ("source", "back"))
    tags, deadline = {"kind": "ä=:"}, datetime(2999, 1, 1, tzinfo=UTC)
    create(source, "pending", tags=tags, deadline=deadline, data={"amount": 1.5})
    settle(source, {"settled": [1, None], "no": ValueError("no")})

    enter([f"dp copy {source} '{url}'"], tmp_path)
    enter([f"dp copy '{url}' {back}"], tmp_path)

    def facts(info: dp.PromiseInfo[object]) -> object:
        return info.id, info.state, info.terms, info.settled_by

    expected = sorted(map(facts, infos(source)), key=str)
    assert 3 == len(expected)
    assert expected == sorted(map(facts, infos(url)), key=str)
    assert expected == sorted(map(facts, infos(back)), key=str)
