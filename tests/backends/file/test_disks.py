"""
The file store on disks that are really full, each in its way, or read-only.

Needs root, because it mounts: memory with few bytes or few inodes, ext4 on a loop
device. A limit of the size of files needs no root.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import pytest

import dp_core as dp
from dp_backends.file._registry import Listing
from dp_backends.file._store import FileStore
from dp_backends.file._watching import WATCHERS
from dp_core.testing.crash import Disk
from support.core.disks.full_disks import a_little_room_is_the_way_out
from support.core.disks.small_disks import fill_up, small_memory
from support.core.program import UNMEASURED
from support.file.crash_setups import Dying, value
from support.file.stores import age
from support.file.sweeps import missing

LIMIT: Final = 60.0
"""Seconds after which a test that should have gone on has failed."""

LARGE: Final = value("x" * 20_000)


@dataclass(frozen=True)
class Medium:
    """
    A place that can be filled.

    Attributes:
        root: A directory in it.
        fill: Leaves a little room; none for a hundred large values.
        fill_up: Leaves none at all.
        empty: Takes away what has filled it.
        told: What an error says.
        has_room_for_heads: Whether even when it is full, small files can be written.
    """

    root: Path
    fill: Callable[[], object]
    fill_up: Callable[[], object]
    empty: Callable[[], None]
    told: str = "the disk is full; free some space"
    has_room_for_heads: bool = False


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one."""
    shm = Path("/dev/shm")  # noqa: S108 - a new directory in it is used
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else tmp_path) as path:
        yield Path(path)


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[Path]:
    """Mount memory on a directory."""
    missing(Disk.missing())
    with small_memory(directory, options):
        yield directory


def with_bytes(root: Path, left: int) -> Medium:
    """Return a medium whose bytes run out."""
    return Medium(
        root,
        lambda: fill_up(root, left),
        lambda: fill_up(root),
        (root / "filler").unlink,
    )


def with_inodes(root: Path, left: int) -> Medium:
    """Return a medium whose inodes run out."""
    filler = root / "filler"

    def take_all() -> None:
        filler.mkdir(exist_ok=True)
        with suppress(OSError):
            for number in range(100_000):
                (filler / str(number)).touch()

    def fill() -> None:
        take_all()
        for path in sorted(filler.iterdir())[:left]:
            path.unlink()

    def empty() -> None:
        for path in filler.iterdir():
            path.unlink()

    return Medium(root, fill, take_all, empty)


def with_limit(root: Path) -> Medium:
    """Return a medium in which no file may be large."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))

    def empty() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return Medium(
        root, fill, fill, empty, "too large for a limit", has_room_for_heads=True
    )


@pytest.fixture(params=["memory", "inodes", "ext4", "limit"])
def medium(request: pytest.FixtureRequest, ram: Path) -> Iterator[Medium]:
    """A place that can be filled, and is emptied in the end."""
    match request.param:
        case "memory":
            with mounted(ram / "small", "size=8m") as root:
                yield with_bytes(root, 200_000)
        case "inodes":
            with mounted(ram / "small", "size=80m,nr_inodes=1000") as root:
                yield with_inodes(root, 12)
        case "ext4":
            missing(Disk.missing())
            with Disk(ram, size=160 * 1024 * 1024) as disk:
                yield with_bytes(disk.root, 200_000)
        case _:
            medium = with_limit(ram)
            yield medium
            medium.empty()


def files(root: Path) -> set[str]:
    """Return the names of all files of a store."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def program(*words: str, url: str = "memory:") -> tuple[int, str, str]:
    """Run `dp`; return its exit code, its output, and what it complained of."""
    done = subprocess.run(
        [sys.executable, "-m", "dp_core", *words],
        env={**os.environ, **UNMEASURED, "DP_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    return done.returncode, done.stdout, done.stderr


def test_what_was_acknowledged_before_is_kept(medium: Medium) -> None:
    """Settles go on until one fails; all before it are there, none after it."""
    root = medium.root / "store"
    store = FileStore(str(root))
    store.settle("kept", value("kept"))
    medium.fill()

    kept: list[str] = []
    failed: dict[str, str] = {}
    while len(failed) < 3 and len(kept) < 100:
        id = f"x{len(kept)}-{len(failed)}"
        try:
            store.settle(id, LARGE)
        except dp.BackendUnavailableError as error:
            failed[id] = str(error)
        else:
            kept.append(id)

    assert 3 == len(failed)
    assert all(medium.told in said and str(root) in said for said in failed.values())
    litter = [name for name in files(root) if "/.t-" in name or name.startswith(".t-")]
    assert [] == litter
    assert len(kept) + 1 == len([name for name in files(root) if "json" in name])
    medium.empty()
    for handle in (store, FileStore(str(root))):
        assert value("kept") == handle.look("kept").state
        assert {LARGE} >= {handle.look(id).state for id in kept}
        assert {dp.Pending()} == {handle.look(id).state for id in failed}
    assert LARGE == store.settle(next(iter(failed)), LARGE)


async def test_a_wait_outlives_a_full_disk(medium: Medium) -> None:
    """It is told the outcome when there is room again, and nothing before."""
    url = f"file:{medium.root}/store"
    told: list[object] = []
    async with dp.connect(url) as promises:
        promise = promises.promise("x")
        await promises.promise("kept").resolve("kept")

        async def wait() -> None:
            told.append(await promise.get())

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                while 1 != WATCHERS.get().stats().waiting:  # noqa: ASYNC110 - as in joined()
                    await anyio.sleep(0.001)
                medium.fill_up()
                for _ in range(3):
                    with pytest.raises(dp.BackendUnavailableError, match=medium.told):
                        await promise.resolve("x" * 20_000)
                assert dp.Pending() == await promise.peek()
                assert dp.Resolved("kept") == await promises.promise("kept").peek()
                assert [] == told
                medium.empty()
                await promise.resolve("x" * 20_000)
    assert ["x" * 20_000] == told


def test_a_full_disk_gets_no_fuller(medium: Medium) -> None:
    """Whatever is tried in vain leaves nothing; reading goes on."""
    root = medium.root / "store"
    store = FileStore(str(root))
    store.settle("kept", value("kept"))
    medium.fill_up()
    before = files(medium.root)

    for _ in range(3):
        for call in (
            lambda: FileStore(str(root)).settle("x", LARGE),
            lambda: store.settle("y", LARGE),
        ):
            with pytest.raises(dp.BackendUnavailableError, match=medium.told):
                call()
        if not medium.has_room_for_heads:
            with pytest.raises(dp.BackendUnavailableError, match=medium.told):
                store.dispose("kept")
        assert value("kept") == FileStore(str(root)).look("kept").state
    assert before == files(medium.root)

    medium.empty()
    store.dispose("kept")


@pytest.mark.parametrize("medium", ["memory"], indirect=True)
def test_a_little_room_is_the_way_out_of_a_full_disk(medium: Medium) -> None:
    """64 KiB: with them disposals make room for what is settled next."""

    def fill() -> Path:
        medium.fill_up()
        return medium.root / "filler"

    url = f"file:{medium.root}/store"
    a_little_room_is_the_way_out(url, fill, 64 << 10, "x" * 100_000)


@pytest.mark.parametrize("medium", ["inodes"], indirect=True)
def test_disposing_gives_no_inodes_back(medium: Medium) -> None:
    """
    A disposal takes one for its head, and an hour later gives one back, its outcome's.

    So it needs as many as there are promises to dispose of, and two more for as long as
    it takes; the way out is a store elsewhere, to which no heads are copied.
    """
    root = medium.root / "store"
    store = FileStore(str(root))
    ids = [f"x{number}" for number in range(20)]
    for id in ids:
        store.settle(id, LARGE)
    store.settle("kept", LARGE)
    before = len(files(root))
    medium.fill_up()
    for path in sorted((medium.root / "filler").iterdir())[: len(ids) + 2]:
        path.unlink()

    for id in ids:
        store.dispose(id)
    assert before + len(ids) == len(files(root))
    for path in root.rglob("*.json"):
        age(str(path))
    # One of the two is left: in memory, a file's second name takes an inode as well.
    new = len(ids) + 1
    for number in range(new):
        store.settle(f"new{number}", LARGE)
    with pytest.raises(dp.BackendUnavailableError, match=medium.told):
        store.settle("late", LARGE)

    elsewhere = medium.root.parent / "elsewhere"
    code, _, complained = program("copy", f"file:{root}", f"file:{elsewhere}")
    assert 0 == code, complained
    assert new + 1 == len([*elsewhere.rglob("*.json")])
    assert LARGE == FileStore(str(elsewhere)).settle("late", LARGE)


@pytest.mark.parametrize("full", [False, True], ids=["nearly", "full"])
@pytest.mark.parametrize("medium", ["inodes", "ext4"], indirect=True)
def test_a_store_without_room_is_not_half_made(medium: Medium, full: bool) -> None:
    """What was made before there was no room goes; with room, all of it is made."""
    (medium.fill_up if full else medium.fill)()
    before = files(medium.root)
    store = FileStore(f"{medium.root}/store")

    for _ in range(3):
        with pytest.raises(dp.BackendUnavailableError, match=medium.told):
            store.settle("x", LARGE)
        assert files(medium.root) <= before | {"store"}

    medium.empty()
    assert LARGE == store.settle("x", LARGE)


@pytest.mark.parametrize("medium", ["inodes"], indirect=True)
def test_shards_without_room_are_not_half_made(medium: Medium) -> None:
    """Those that are there stay, for whoever has room in them."""
    store = FileStore(f"{medium.root}/store")
    store.settle("kept", value("kept"))
    lost = list((medium.root / "store" / "p").iterdir())[:60]
    lost = [path for path in lost if not any(path.iterdir())]
    for path in lost:
        path.rmdir()
    medium.fill()
    before = files(medium.root)

    for handle in (store, FileStore(store.root)):
        with pytest.raises(dp.BackendUnavailableError, match=medium.told):
            handle.settle("x", LARGE)
        assert before == files(medium.root)
        assert value("kept") == handle.look("kept").state


def test_the_program_says_so_and_ends_with_2(medium: Medium) -> None:
    """In one line that names the store; what can be read is read as ever."""
    url = f"file:{medium.root}/store"
    FileStore(f"{medium.root}/store").settle("kept", value("kept"))
    medium.fill_up()
    large = "x" * 20_000
    attempts = [("resolve", "x", large), ("reject", "x", large)]
    if not medium.has_room_for_heads:
        attempts.append(("dispose", "kept"))

    for words in attempts:
        code, said, complained = program(*words, url=url)
        assert 2 == code, complained
        assert "" == said
        assert 1 == len(complained.splitlines()), complained
        assert medium.told in complained
        assert f"{medium.root}/store" in complained
    assert (0, "kept\n") == program("peek", "kept", url=url)[:2]
    assert 3 == program("peek", "x", url=url)[0]
    medium.empty()
    assert 0 == program("resolve", "x", large, url=url)[0]
    assert (0, f"{large}\n") == program("get", "x", url=url)[:2]


@pytest.mark.parametrize("change", [0o700, 0o775, 0o2770, 0o777])
def test_a_store_on_a_disk_that_is_read_only(ram: Path, change: int) -> None:
    """
    What is there is read, whatever mode a mount has given it; nothing can be written.

    Nobody else can write there either, so that the mode needs no repair.
    """
    with mounted(ram / "small", "size=8m") as directory:
        root = directory / "store"
        store = FileStore(str(root))
        store.settle("kept", value("kept"))
        crashed = Dying(str(root))
        crashed.settle("half", value("half"))
        for path in (root, root / "p"):
            path.chmod(change)
        remount = ["mount", "-o", "remount,ro", str(directory)]
        subprocess.run(remount, check=True)

        for handle in (store, FileStore(str(root))):
            for _ in range(2):
                assert value("kept") == handle.look("kept").state
                assert value("half") == handle.look("half").state
                assert value("kept") == handle.settle("kept", value("late"))
            assert dp.Pending() == handle.look("x").state
            assert 2 == len(Listing(handle).page(dp.Query(), None, 10).infos)
            for call in (
                lambda handle=handle: handle.settle("x", value("x")),
                lambda handle=handle: handle.dispose("kept"),
            ):
                with pytest.raises(dp.BackendUnavailableError, match="is read-only"):
                    call()
        assert (0, "kept\n") == program("peek", "kept", url=f"file:{root}")[:2]
        code, said, complained = program("resolve", "x", "1", url=f"file:{root}")
        assert (2, "", 1) == (code, said, len(complained.splitlines()))
