"""Records that are whole, and in the wrong place or not what this version reads."""

from __future__ import annotations

import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

import dp_core as dp
from dp_backends.file._record import _TAIL, FIRST
from dp_backends.file._registry import Listing
from dp_backends.file._store import FileStore
from support.file.crash_setups import value
from support.file.stores import head_of, outcome_of


@pytest.fixture
def store(root: Path) -> FileStore:
    """A store with one settled promise, "kept"."""
    store = FileStore(str(root))
    store.settle("kept", value("kept"))
    return store


@pytest.mark.parametrize("place", ["outcome", "terms"])
def test_a_record_in_place_of_another_kind_is_damage(
    store: FileStore, place: str
) -> None:
    """Terms are no outcome, and an outcome is no terms."""
    store.create("x", dp.Terms())
    store.settle("x", value("precious"))
    files = {
        "terms": store.place("x").terms(FIRST),
        "outcome": store.place("x").outcome(FIRST),
    }
    shutil.copy(files.pop(place), store.place("x").temporary("copy"))
    Path(store.place("x").temporary("copy")).rename(*files.values())
    if place == "outcome":
        Path(store.place("x").outcome(FIRST)).unlink()

    with pytest.raises(dp.CorruptPromiseError, match="belongs elsewhere"):
        store.look("x")


def test_a_record_of_another_generation_is_damage(store: FileStore) -> None:
    """What was settled before a disposal is not what was settled after it."""
    head = head_of(store)
    (living,) = [
        path
        for path in head.parent.glob(f"{store.place('x').name}*")
        if path != head and path.stat().st_size
    ]
    living.rename(store.place("x").outcome(FIRST))
    shutil.copy(store.place("x").outcome(FIRST), living)
    head.unlink()

    with pytest.raises(dp.CorruptPromiseError, match="belongs elsewhere"):
        store.look("x")


@pytest.mark.parametrize(
    ("before", "after", "error", "said"),
    [
        (b'"nonce"', b'"nance"', dp.BackendUnavailableError, "has format unknown"),
        (b'"format": 1', b'"format":', dp.BackendUnavailableError, "format unknown"),
    ],
)
def test_a_record_that_is_whole_and_says_something_else_is_not_read(
    store: FileStore, before: bytes, after: bytes, error: type[Exception], said: str
) -> None:
    """Its checksum is right, so another version has written it."""
    path = outcome_of(store)
    tail = len(_TAIL % (b"0" * 64))
    body = path.read_bytes()[:-tail].replace(before, after)
    path.write_bytes(body + _TAIL % sha256(body).hexdigest().encode())

    with pytest.raises(error, match=said):
        store.look("x")


def test_a_record_of_no_moment_is_damage(store: FileStore) -> None:
    """Where a promise has its place in a listing by a time that is none."""
    path = outcome_of(store)
    tail = len(_TAIL % (b"0" * 64))
    body = re.sub(rb'"at": "[^"]*"', b'"at": "yesterday"', path.read_bytes()[:-tail])
    path.write_bytes(body + _TAIL % sha256(body).hexdigest().encode())

    assert value("precious") == store.look("x").state
    page = Listing(store).page(dp.Query(), None, 10)

    ((_, failure),) = page.failures
    assert isinstance(failure, dp.CorruptPromiseError)
    assert "written at 'yesterday'" in str(failure)
