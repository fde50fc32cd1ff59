"""A store that may not be used, or not here: a clear error says what to do."""

from __future__ import annotations

import itertools
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import apsw
import pytest

import dp_core as dp
from dp_backends.sql.sqlite import _database, _session
from dp_core._plugins import _opening
from support.core.disks.strangers import as_somebody, in_sight
from support.sqlite.looks import LOOKS, look

SOMEBODY = 65534


def test_a_missing_driver_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """With the extra, ready to be typed."""
    for module in list(sys.modules):
        if module.startswith(("apsw", "dp_backends.sql")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "apsw", None)
    monkeypatch.setattr(_opening, "_found", {})

    told = r"pip install 'durable-promises\[sqlite\]'"
    with pytest.raises(dp.UnknownBackendError, match=told):
        dp.connect(url)


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.52.0"])
def test_an_sqlite_that_damages_databases_is_refused(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Its log could be reset while another one writes it."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    with pytest.raises(dp.BackendUnavailableError, match=f"{version}.*upgrade apsw"):
        look(url, "resolve")
    assert not path.exists()


def test_a_network_file_system_is_refused(
    url: str, store: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks do not hold there; the error says what does."""
    monkeypatch.setattr(_database, "is_remote", lambda _: True)
    for what in LOOKS:
        with pytest.raises(dp.BackendUnavailableError, match=r"postgresql:.*dp serve"):
            look(url, what)


def test_no_permission_is_said_so(path: Path, url: str, store: bytes) -> None:
    """Of the file, or of its directory."""
    in_sight(path)
    path.chmod(0)
    for mode in (0o555, 0o000):
        path.parent.chmod(mode)
        for what in LOOKS:
            with (
                as_somebody(),
                pytest.raises(dp.AccessDeniedError, match="owner and mode"),
            ):
                look(url, what)
    path.parent.chmod(0o555)
    with as_somebody(), pytest.raises(dp.AccessDeniedError, match="permission denied"):
        look(f"sqlite:{path.parent}/new.db", "resolve")
    path.parent.chmod(0o755)


def test_too_many_open_files_is_said_so(url: str, store: bytes) -> None:
    """And passes: the same handle goes on."""

    async def main() -> None:
        async with dp.connect(url) as promises:
            promise = promises.promise("kept")
            with (
                no_descriptors(),
                pytest.raises(dp.BackendUnavailableError, match="ulimit -n"),
            ):
                await promise.peek()
            assert dp.Resolved("kept") == await promise.peek()

    anyio.run(main)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let no more files be opened meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(spare)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_files_are_their_owners(path: Path, url: str, umask: int) -> None:
    """Whatever the umask gives away."""

    async def main() -> dict[str, int]:
        async with dp.connect(url) as promises:
            await promises.promise("x").resolve(1)
            return modes(path.parent)

    before = os.umask(umask)
    try:
        found = anyio.run(main)
    finally:
        os.umask(before)
    assert dict.fromkeys(("p.db", "p.db-wal", "p.db-shm", "p.db-bell"), 0o600) == found


def modes(directory: Path) -> dict[str, int]:
    """Return the modes of the files in a directory."""
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


def test_a_working_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handle that was opened before goes on; a relative path says what is wrong."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)

    async def main() -> None:
        async with dp.connect("sqlite:../p.db") as promises:
            os.rmdir(gone)  # noqa: PTH106 - it blocks nobody
            await promises.promise("x").resolve(1)
            with pytest.raises(dp.BackendUnavailableError, match="working directory"):
                dp.connect("sqlite:p.db")

    anyio.run(main)
    assert (tmp_path / "p.db").exists()


async def test_a_file_that_is_another_one_at_each_look(
    url: str, store: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where inode numbers do not stay, an error says so; nothing goes on for ever."""
    numbers = itertools.count()
    monkeypatch.setattr(_session, "_identity", lambda _: (next(numbers),))
    async with dp.connect(url) as promises:
        with anyio.fail_after(60):
            with pytest.raises(dp.BackendUnavailableError, match="inode numbers"):
                await promises.promise("a").peek()
