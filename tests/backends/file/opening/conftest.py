"""A directory for each store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """
    The directory of a store that is not there yet.

    In memory where there is such a place: each store has some hundred directories, and
    no test here is about what reaches a disk.
    """
    shm = Path("/dev/shm")  # noqa: S108 - a new directory in it is used
    if not os.access(shm, os.W_OK):
        yield tmp_path / "deep" / "store"
        return
    with tempfile.TemporaryDirectory(dir=shm) as directory:
        yield Path(directory, "deep", "store")
