"""What keeps a promise from being written for good ends in an error, not in a loop."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import dp_core as dp
from dp_backends.file import _store
from dp_backends.file._layout import Place, due_path, hour_of
from dp_backends.file._store import FileStore
from dp_core.backend import now
from dp_core.testing import DeadlineClock
from support.file.crash_setups import value

Operation = Callable[[FileStore], object]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A store, with no promise in it."""
    store = FileStore(str(tmp_path / "store"))
    store.open()
    return store


def lead_nowhere(directory: str) -> None:
    """Put a link that leads nowhere in the place of a directory."""
    path = Path(directory)
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        path.rmdir()
    path.symlink_to("/nowhere")


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.settle("a", value("a")),
        lambda store: store.create("a", dp.Terms()),
        lambda store: store.dispose("a"),
    ],
    ids=["settle", "create", "dispose"],
)
def test_a_shard_that_leads_nowhere(store: FileStore, operation: Operation) -> None:
    """The error names the directory; the promise is as it was."""
    shard = Place.of(store.root, "a").shard
    lead_nowhere(shard)

    with pytest.raises(dp.BackendError, match="not a link") as caught:
        operation(store)

    assert type(caught.value) is dp.BackendError
    assert shard in str(caught.value)
    assert dp.Pending() == store.look("a").state


def test_an_hour_that_leads_nowhere(store: FileStore) -> None:
    """A deadline cannot be noted there; the promise is not created."""
    deadline = now() + timedelta(hours=5)
    hour = due_path(store.root, hour_of(deadline))
    lead_nowhere(hour)

    with pytest.raises(dp.BackendError, match="look whether it is a link"):
        store.create("a", dp.Terms(deadline=deadline))

    assert store.look("a").terms is None


def test_a_deadline_that_cannot_settle(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at a promise that is over ends, though its outcome never gets its name."""
    with DeadlineClock() as clock:
        store.create("a", dp.Terms(deadline=now() + timedelta(hours=1)))
        clock.advance(timedelta(hours=2))
        monkeypatch.setattr(_store, "publish", lambda *_: False)

        with pytest.raises(dp.BackendError, match="none can be made"):
            store.look("a")


def test_a_name_without_a_file(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that shows a name, and has no file there, is named in the error."""
    store.create("a", dp.Terms())
    monkeypatch.setattr(os.path, "lexists", lambda _: True)

    with pytest.raises(dp.BackendError, match="none that can be opened"):
        store.look("a")
