"""`replace`: a folder of generated pages, which has these pages and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["replace"]


def replace(folder: Path, pages: Mapping[str, str]) -> None:
    """
    Let *folder* have exactly *pages*.

    A page that is the same already is not touched, so that it is not read
    again by the next build.

    Args:
        folder: Where the pages are; made if it is missing.
        pages: The text of each page by the path of its file in *folder*.
    """
    there = {path for path in folder.rglob("*") if not path.is_dir()}
    for stale in there - {folder / name for name in pages}:
        stale.unlink(missing_ok=True)
    for name, text in pages.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
