"""The museum: one page a law, with the wrong backends that it catches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from from_code._files import replace

__all__ = ["write_museum"]

_STUB: Final = """# The museum

The wrong backends of the tests, by the law that catches each.
"""


def write_museum(folder: Path) -> None:
    """Write the pages of the museum."""
    replace(folder, {"index.md": _STUB})
