"""Places for looks at stores: a directory of one's own, and sockets that hang."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import anyio
import pytest

import dp_core

Fill = Callable[..., None]
Snapshot = Callable[[Path], dict[str, tuple[int, bytes]]]


@pytest.fixture
def fill(env: dict[str, str]) -> Fill:
    """Return a function that settles promises of the default store, in this process."""

    def fill(
        resolved: Iterable[str], rejected: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        async def settle() -> None:
            async with dp_core.connect(env["DP_URL"]) as promises:
                for id in resolved:
                    await promises.promise(id).resolve(1)
                for id, error in rejected.items():
                    await promises.promise(id).reject(error)

        anyio.run(settle)

    return fill


@pytest.fixture
def nowhere(env: dict[str, str], tmp_path: Path) -> Path:
    """Return an empty directory in which the default store would be made."""
    del env["DP_URL"]
    place = tmp_path / "nowhere"
    place.mkdir()
    return place


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def snapshot() -> Snapshot:
    """Return a function that tells each file below a directory, by mode and content."""

    def tell(root: Path) -> dict[str, tuple[int, bytes]]:
        return {
            os.fspath(path.relative_to(root)): (
                path.lstat().st_mode,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in sorted(root.rglob("*"))
        }

    return tell
