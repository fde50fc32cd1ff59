"""Stores as tests find them, make them old, and disturb them."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dp_core as dp
from dp_backends.file._layout import GRACE
from dp_backends.file._record import FIRST
from dp_backends.file._store import FileStore
from support.file.crash_setups import value

ONE = dp.Resolved(b"1")
TWO = dp.Resolved(b"2")


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def names(path: Path) -> list[str]:
    """Return the names in a directory; none if it is not there."""
    return [child.name for child in path.iterdir()] if path.exists() else []


def files(root: Path) -> list[str]:
    """Return the names of all files in the shards."""
    return sorted(path.name for path in (root / "p").rglob("*") if path.is_file())


def age(path: str) -> None:
    """Let a file be older than the janitor's grace."""
    then = time.time() - GRACE - 60
    os.utime(path, (then, then))


def settle_while(
    monkeypatch: pytest.MonkeyPatch, step: str, meanwhile: Callable[[], None]
) -> None:
    """Let *meanwhile* happen, once, just before the system call *step*."""
    real: Any = getattr(os, step)

    def call(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(os, step, real)
        meanwhile()
        return real(*args, **kwargs)

    monkeypatch.setattr(os, step, call)


def outcome_of(store: FileStore) -> Path:
    """Settle "x", and return its record."""
    store.settle("x", value("precious"))
    return Path(store.place("x").outcome(FIRST))


def head_of(store: FileStore) -> Path:
    """Dispose of "x", settled before and after, and return its head."""
    outcome_of(store)
    store.dispose("x")
    store.settle("x", value("precious"))
    return Path(store.place("x").head)
