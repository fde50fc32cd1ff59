"""Listings of the file store: damage, strangers, cursors, and who writes meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import dp_core as dp
from dp_backends.file import _store
from dp_backends.file._publishing import publish
from dp_backends.file._record import FIRST
from dp_backends.file._registry import Listing, _catalog, _listing
from dp_backends.file._store import FileStore
from dp_core.testing import DeadlineClock
from support.file.terms_proofs import listed, order_stays

ONE = dp.Resolved(b"1")


def fill(store: FileStore, *ids: str) -> None:
    """Create promises, in this order."""
    for id in ids:
        store.create(id, dp.Terms())


def test_the_order_stays(tmp_path: Path) -> None:
    """It is by when each was first heard of, for ever."""
    order_stays(tmp_path)


def test_what_cannot_be_read_is_told_beside_the_rest(store: FileStore) -> None:
    """A damaged record, one of a newer version, one in a wrong place, one of a pipe."""
    fill(store, "a", "damaged", "newer", "b")
    path = Path(store.place("damaged").terms(FIRST))
    path.write_bytes(path.read_bytes().replace(b"damaged", b"damagEd")[:-1])
    newer = Path(store.place("newer").terms(FIRST))
    record = store.look_at(store.place("newer"), whole=True).created
    assert record is not None
    with patch("dp_backends.file._record.WITH_TERMS", 3):
        newer.write_bytes(record.to_bytes())
    shutil.copy(store.place("a").terms(FIRST), store.place("elsewhere").terms(FIRST))

    page = Listing(store).page(dp.Query(), None, 10)

    assert ["a", "b"] == [info.id for info in page.infos]
    assert {
        store.place("damaged").name: dp.CorruptPromiseError,
        "newer": dp.BackendUnavailableError,
        store.place("elsewhere").name: dp.CorruptPromiseError,
    } == {name: type(error) for name, error in page.failures}
    assert page.after is None


def test_a_link_is_told_beside_the_rest(store: FileStore) -> None:
    """It is not followed, and named."""
    fill(store, "a", "link", "b")
    link = Path(store.place("link").terms(FIRST))
    link.unlink()
    link.symlink_to(store.place("a").terms(FIRST))

    page = Listing(store).page(dp.Query(), None, 10)
    ((name, error),) = page.failures

    assert ["a", "b"] == [info.id for info in page.infos]
    assert store.place("link").name == name
    assert isinstance(error, dp.AccessDeniedError)
    assert str(link) in str(error)


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.EACCES, errno.ENODATA, errno.ENXIO]
)
def test_a_file_that_cannot_be_opened_hides_no_other_one(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Root wrote it, or its sector is bad; but too many open files are for all."""
    fill(store, "a", "bad", "b")
    bad, real = store.place("bad").terms(FIRST), os.open

    def opened(path: str, *rest: int) -> int:
        if path == bad:
            raise OSError(number, os.strerror(number))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", opened)
    page = Listing(store).page(dp.Query(), None, 10)
    number = errno.EMFILE
    with pytest.raises(dp.BackendUnavailableError, match="too many open files"):
        Listing(store).page(dp.Query(), None, 10)

    assert ["a", "b"] == [info.id for info in page.infos]
    assert [store.place("bad").name] == [name for name, _ in page.failures]


def test_a_file_of_any_size_is_told_beside_the_rest(store: FileStore) -> None:
    """A damaged disk makes files that no memory would hold; they are not read."""
    fill(store, "a", "large", "b")
    os.truncate(store.place("large").terms(FIRST), 1 << 40)

    page = Listing(store).page(dp.Query(), None, 10)

    assert ["a", "b"] == [info.id for info in page.infos]
    assert [dp.CorruptPromiseError] == [type(error) for _, error in page.failures]


def test_damage_is_told_to_whom_the_promise_would_be_told(store: FileStore) -> None:
    """Who may see some ids only does not hear of others, not even that they fail."""
    fill(store, "mine-a", "mine-b", "theirs")
    for id in ("mine-b", "theirs"):
        path = Path(store.place(id).terms(FIRST))
        path.write_bytes(path.read_bytes()[:-1])

    mine = Listing(store).page(dp.Query(ids=("mine-*",)), None, 10)
    every = Listing(store).page(dp.Query(), None, 10)

    assert ["mine-a"] == [info.id for info in mine.infos]
    assert ["mine-b"] == [name for name, _ in mine.failures]
    assert {"mine-b", "theirs"} == {name for name, _ in every.failures}


def test_what_is_disposed_of_while_it_is_read_is_no_damage(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is erased then, which a listing may come across."""
    fill(store, "a", "gone")
    real, gone = _catalog._read, store.place("gone").terms(FIRST)

    def read(files: Any, path: str) -> Any:
        if path == gone:
            FileStore(store.root).dispose("gone")
        return real(files, path)

    monkeypatch.setattr(_catalog, "_read", read)
    page = Listing(store).page(dp.Query(), None, 10)

    assert (["a"], ()) == ([info.id for info in page.infos], page.failures)


def test_what_no_store_has_made_is_no_cursor(store: FileStore) -> None:
    """It is refused, and not taken for the beginning or the end."""
    for cursor in ("17", "x", "", "1 2"):
        with pytest.raises(dp.InvalidQueryError, match="not a cursor of this store"):
            Listing(store).page(dp.Query(), cursor, 10)


def test_what_is_over_and_cannot_be_settled_is_told_beside_the_rest(
    store: FileStore,
) -> None:
    """As on a disk that is read-only: it is neither pending nor settled."""

    def fail(*args: object) -> bool:
        if args[-1].expired:  # type: ignore[attr-defined] # a record
            raise dp.BackendUnavailableError("the file system is read-only")
        return publish(*args)  # type: ignore[arg-type] # as it was called

    with DeadlineClock() as clock, patch.object(_store, "publish", fail):
        fill(store, "a", "b")
        store.create("over", dp.Terms(clock.now + timedelta(hours=1)))
        clock.advance(timedelta(hours=1))
        page = Listing(store).page(dp.Query(), None, 10)

    assert ["a", "b"] == [info.id for info in page.infos]
    assert ["over"] == [name for name, _ in page.failures]


def test_a_cursor_is_for_any_handle_and_any_query(store: FileStore) -> None:
    """What the handle remembers of a listing changes nothing but its cost."""
    ids = [f"{kind}{number}" for number in range(6) for kind in "ab"]
    fill(store, *ids)
    listing = Listing(store)
    page = listing.page(dp.Query(prefix="a"), None, 2)
    assert page.after is not None
    rest = ids[ids.index("a1") + 1 :]

    for other in (listing, Listing(FileStore(store.root))):
        found = other.page(dp.Query(), page.after, 100)
        assert rest == [info.id for info in found.infos]
        mine = other.page(dp.Query(prefix="a"), page.after, 100)
        assert [id for id in rest if id[0] == "a"] == [info.id for info in mine.infos]
    assert rest == listed(store, page.after)


def test_a_later_generation_is_not_listed_in_the_place_of_the_former(
    store: FileStore,
) -> None:
    """Else its cursor would lead past what comes in between."""
    fill(store, "a", "b", "c")
    listing = Listing(store)
    first = listing.page(dp.Query(), None, 1)
    for id in ("b", "c"):
        store.dispose(id)
    store.settle("b", ONE)
    rest = listing.page(dp.Query(), first.after, 10)

    assert [] == [info.id for info in rest.infos]
    assert ["a", "b"] == listed(store)


def test_a_handle_remembers_few_listings_and_not_for_long(store: FileStore) -> None:
    """However many there are that nobody reads to their end."""
    fill(store, "a", "b")
    listing = Listing(store)
    for _ in range(20):
        page = listing.page(dp.Query(), None, 1)
    assert _listing._KEPT == len(listing._kept)
    with patch.object(_listing, "_KEPT_FOR", -1.0):
        listing.page(dp.Query(), None, 1)
    assert ["b"] == [i.id for i in listing.page(dp.Query(), page.after, 1).infos]
