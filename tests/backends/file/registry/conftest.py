"""A store in memory, where there is such a place: most of these make many promises."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dp_backends.file._store import FileStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    """Make a store; no test here is about what reaches a disk."""
    shm = Path("/dev/shm")  # noqa: S108 - a new directory in it is used
    with tempfile.TemporaryDirectory(
        dir=shm if os.access(shm, os.W_OK) else tmp_path
    ) as directory:
        store = FileStore(f"{directory}/s")
        store.open()
        yield store
