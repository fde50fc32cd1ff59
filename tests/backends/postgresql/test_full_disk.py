"""A server whose disk is really full. Needs root, because it mounts memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from psycopg.sql import SQL, Identifier, Literal

from dp_core.testing.crash import Disk
from support.core.full_disks import nothing_is_lost_in_a_full_disk
from support.file.sweeps import missing
from support.postgresql.server import USER, PostgresServer
from support.sqlite.small_disks import fill_up, small_memory


@pytest.fixture
def small(postgresql: PostgresServer, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a small disk, and the URL of a store in a database that is on it."""
    missing(Disk.missing())
    root, name = postgresql.directory / tmp_path.name, f"on_{tmp_path.name}"
    with small_memory(root, "32m"):
        # The server is somebody else, as it refuses to run as root.
        owner = postgresql.directory.stat()
        (root / "tables").mkdir()
        for directory in (root, root / "tables"):
            os.chown(directory, owner.st_uid, owner.st_gid)
        place, database = Identifier(f"{name}_place"), Identifier(name)
        location = Literal(str(root / "tables"))
        postgresql.execute(
            SQL("CREATE TABLESPACE {} LOCATION {}").format(place, location)
        )
        postgresql.execute(
            SQL("CREATE DATABASE {} OWNER {} TABLESPACE {}").format(
                database, Identifier(USER), place
            )
        )
        try:
            yield root, postgresql.url(database=name)
        finally:
            drop = SQL("DROP DATABASE {} WITH (FORCE)").format(database)
            postgresql.execute(drop)
            postgresql.execute(SQL("DROP TABLESPACE {}").format(place))


def test_a_full_disk_in_the_middle_of_a_batch(small: tuple[Path, str]) -> None:
    """Nothing of it is told, and nothing is lost."""
    root, url = small
    # What could be compressed would fit.
    nothing_is_lost_in_a_full_disk(
        url, lambda: fill_up(root, 20_000), lambda: token_hex(20_000)
    )
