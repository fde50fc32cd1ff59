"""The file store where system calls fail, and disks are full or broken."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

import dp_core as dp
from dp_backends.file._store import FileStore
from dp_core.testing.crash import Disk, Lane
from support.core.disks.small_disks import fill_up, small_memory
from support.file.crash_proofs import short_writes_are_completed
from support.file.crash_setups import CHILD, ENVIRONMENT, value
from support.file.failing_calls import OPERATIONS, matrix
from support.file.strace import run_with_failing
from support.file.sweeps import missing, need_tools


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A store with one settled promise, "kept"."""
    store = FileStore(str(tmp_path / "store"))
    store.settle("kept", value("kept"))
    return store


@pytest.fixture
def ram(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: failing is quicker there."""
    shm = Path("/dev/shm")  # noqa: S108 - a new directory in it is used
    if not os.access(shm, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shm) as directory:
        yield Path(directory)


# Failing system calls -------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_any_call_may_fail(name: str, ram: Path) -> None:
    """
    Whatever call fails however, nobody is told what is not so.

    The error is of our own tree, names the store, says whether anything was
    done; nothing is left behind, neither a file nor a descriptor; and it works
    again, with the same handle unless the disk itself has failed.
    """
    tried, wrong = matrix(ram, OPERATIONS[name])

    assert tried >= 60
    assert [] == wrong


@pytest.mark.parametrize(
    ("call", "file", "error", "told"),
    [
        ("openat", "FORMAT", "EMFILE", "BackendUnavailableError"),
        ("openat", "shard", "EMFILE", "BackendUnavailableError"),
        ("openat", "temporary file", "EACCES", "AccessDeniedError"),
        ("openat", "temporary file", "ENOSPC", "BackendUnavailableError"),
        ("write", "temporary file", "EDQUOT", "BackendUnavailableError"),
        ("fsync", "p", "EIO", "BackendUnavailableError"),
        ("fsync", "store", "EIO", "BackendUnavailableError"),
        ("fsync", "temporary file", "EIO", "BackendUnavailableError"),
        ("fsync", "shard", "EIO", "OutcomeUnknownError"),
        ("fsync", "shard", "ENOSPC", "OutcomeUnknownError"),
        ("fsync", "shard", "EROFS", "OutcomeUnknownError"),
        ("close", "temporary file", "EIO", "BackendUnavailableError"),
        ("close", "temporary file", "ENOSPC", "BackendUnavailableError"),
        ("close", "shard", "EIO", None),
        ("link", "temporary file", "EROFS", "BackendUnavailableError"),
        ("unlink", "temporary file", "EIO", None),
        ("openat", "FORMAT", "EINTR", None),
        ("openat", "temporary file", "EINTR", None),
        ("read", "FORMAT", "EINTR", None),
        ("write", "temporary file", "EINTR", None),
        ("fsync", "temporary file", "EINTR", None),
        ("fsync", "shard", "EINTR", None),
    ],
)
def test_real_calls_that_fail(
    store: FileStore, call: str, file: str, error: str, told: str | None
) -> None:
    """
    Errors of the kernel arrive as in the simulation above.

    And Python itself repeats what a signal has interrupted (PEP 475).
    """
    need_tools()
    with Lane(CHILD, ENVIRONMENT, 20) as lane:
        ended = run_with_failing(lane, store.root, "x", call, file, error)

    state = FileStore(store.root).look("x").state
    if told is None:
        assert ended.failure is None
        assert value("ours") == state
    else:
        assert (ended.failure or "").startswith(told)
        assert store.root in (ended.failure or "")
        if told != "OutcomeUnknownError":
            assert dp.Pending() == state


def test_a_child_recovers_as_a_whole_process(tmp_path: Path) -> None:
    """Real errors of the kernel, in a process that goes on after them."""
    need_tools()
    script = (
        "import sys, dp_core as dp, anyio\n"
        "async def main():\n"
        "    p = dp.durable_promise('x', sys.argv[1])\n"
        "    try:\n"
        "        await p.resolve(1)\n"
        "    except dp.BackendError as error:\n"
        "        print(type(error).__name__)\n"
        "    print(await p.resolve(2), await p.peek())\n"
        "anyio.run(main)\n"
    )
    for number in (1, 2, 3, 4):
        done = subprocess.run(
            [
                *("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"),
                *("-e", f"inject=fsync:error=EIO:when={number}"),
                *(sys.executable, "-c", script, f"file:{tmp_path}/{number}/s"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout.splitlines()
        assert said[0] in {"BackendUnavailableError", "OutcomeUnknownError"}, done
        assert 2 == len(said), done


def test_a_failed_fsync_is_never_repeated(store: FileStore) -> None:
    """The kernel may say that all is well although nothing was written."""
    real = os.fsync
    asked: list[int] = []

    def fsync(fd: int) -> None:
        asked.append(os.fstat(fd).st_ino)
        if len(asked) == 1:
            raise OSError(errno.EIO, "injected")
        real(fd)

    with patch.object(os, "fsync", fsync):
        with pytest.raises(dp.BackendUnavailableError):
            store.settle("x", value("ours"))
        assert 1 == len(asked)
        # A file of its own, and the directory.
        store.settle("x", value("ours"))
        assert 3 == len(asked)


def test_a_disk_that_goes_on_failing_is_told_each_time(store: FileStore) -> None:
    """What was acknowledged is told as long as it can be read; nothing else is."""
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "injected")
        real(fd)

    with patch.object(os, "fsync", fsync):
        with pytest.raises(dp.OutcomeUnknownError):
            store.settle("x", value("ours"))
        for _ in range(2):
            assert value("kept") == store.look("kept").state
            for call in (
                lambda: store.look("x"),
                lambda: store.settle("x", value("ours")),
                lambda: store.settle("y", value("ours")),
                lambda: store.dispose("kept"),
            ):
                with pytest.raises(dp.BackendUnavailableError):
                    call()

    assert value("ours") == store.look("x").state
    assert value("kept") == store.look("kept").state
    assert value("ours") == store.settle("y", value("ours"))


def test_short_writes_are_completed(tmp_path: Path) -> None:
    """The kernel may take less than it was given (write(2))."""
    short_writes_are_completed(tmp_path)


def test_a_file_size_limit_is_told(store: FileStore) -> None:
    """A real short write, and an error after it, leave nothing behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(dp.BackendUnavailableError, match="ulimit -f"):
            store.settle("x", value("ours"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    shard = Path(store.place("x").shard)
    assert [] == [p.name for p in shard.iterdir() if p.name.startswith(".t-")]
    assert value("ours") == store.settle("x", value("ours"))


# Failing disks (full ones: test_disks) ----------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory with little room."""
    missing(Disk.missing(), fails=False)
    with small_memory(tmp_path / "small", "size=24m") as directory:
        yield directory


def test_a_disk_that_really_fails_acknowledges_nothing(small: Path) -> None:
    """
    The blocks of a file system are on a disk that has no room for them.

    So write(2) succeeds and fsync(2) does not; here nothing is simulated.
    """
    with Disk(small, size=256 * 1024 * 1024) as disk:
        store = FileStore(str(disk.root / "store"))
        store.settle("kept", value("kept"))
        filler = fill_up(small)
        acknowledged = []
        errors: list[dp.DurablePromiseError] = []
        for number in range(40):
            id = f"x{number}"
            try:
                FileStore(store.root).settle(id, value("ours" * 50_000))
                acknowledged.append(id)
            except dp.DurablePromiseError as error:
                errors.append(error)
        filler.unlink()
        disk.cut_power()

        store = FileStore(store.root)
        assert value("kept") == store.look("kept").state
        for id in acknowledged:
            assert value("ours" * 50_000) == store.look(id).state
        assert errors
        assert all(isinstance(error, dp.BackendError) for error in errors)
