"""A trigger that is not ours, and skips what we write: an error says so, at once."""

from __future__ import annotations

from pathlib import Path

import anyio
import apsw
import pytest

import dp_core as dp
from support.sqlite.looks import fill


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database that is a store."""
    await fill(f"sqlite:{tmp_path}/p.db")
    return tmp_path / "p.db"


@pytest.fixture
def url(path: Path) -> str:
    """The URL of the store."""
    return f"sqlite:{path}"


def skip(path: Path, when: str) -> None:
    """Let the database skip changes of promises."""
    with apsw.Connection(str(path)) as database:
        database.execute(
            f"CREATE TRIGGER foreign_one {when} BEGIN SELECT RAISE(IGNORE); END"
        )


@pytest.mark.parametrize("operation", ["resolve", "create", "dispose"])
async def test_what_a_trigger_skips_fails(path: Path, url: str, operation: str) -> None:
    """The error says what to look for; nothing was changed, and reads go on."""
    skip(path, "BEFORE INSERT ON promises")
    async with dp.connect(url) as promises:
        operations = {
            "resolve": lambda: promises.promise("new").resolve(1),
            "create": lambda: promises.create("new"),
            "dispose": lambda: promises.promise("new").dispose(),
        }
        with anyio.fail_after(60), pytest.raises(dp.BackendError) as caught:
            await operations[operation]()

        assert type(caught.value) is dp.BackendError
        assert "look for a trigger" in str(caught.value)
        assert "'new'" in str(caught.value)
        assert dp.Pending() == await promises.promise("new").peek()
        with apsw.Connection(str(path)) as database:
            database.execute("DROP TRIGGER foreign_one")
        assert dp.Resolved(2) == await promises.promise("new").resolve(2)


async def test_others_of_the_batch_are_written(path: Path, url: str) -> None:
    """Only the calls fail whose changes are skipped."""
    skip(path, "BEFORE INSERT ON promises WHEN CAST(NEW.id AS TEXT) = 'bad'")
    async with dp.connect(url) as promises:
        failed = []

        async def resolve(id: str) -> None:
            try:
                await promises.promise(id).resolve(id)
            except dp.BackendError:
                failed.append(id)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for id in ("a", "bad", "c"):
                    tasks.start_soon(resolve, id)

        assert ["bad"] == failed
        written = await dp.gather(promises.promise("a"), promises.promise("c"))
        assert ["a", "c"] == written


async def test_a_trigger_that_ends_a_statement_later_changes_nothing_for_us(
    path: Path, url: str
) -> None:
    """What is told is what is in the database."""
    skip(path, "AFTER INSERT ON promises")
    async with dp.connect(url) as promises:
        with anyio.fail_after(60):
            assert dp.Resolved(1) == await promises.promise("new").resolve(1)
    async with dp.connect(url) as promises:
        assert dp.Resolved(1) == await promises.promise("new").peek()
