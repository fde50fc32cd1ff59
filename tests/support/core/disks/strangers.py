"""Another user than root, for what only others may not do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["as_somebody", "in_sight"]

SOMEBODY: Final = 65534


@contextmanager
def as_somebody() -> Iterator[None]:
    """Be a user who is not root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(before)


def in_sight(path: Path) -> None:
    """Let others come as far as the directory of a file."""
    for parent in list(path.parents)[: -len(Path("/tmp").parts)]:  # noqa: S108 - none is made
        parent.chmod(0o755)
