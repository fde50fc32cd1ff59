"""`link_pages`: links that lead somewhere in the repository, and on the site."""

from __future__ import annotations

import re
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Final

from sphinx.application import Sphinx

__all__ = ["link_pages"]

_LINK: Final = re.compile(r"\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def link_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """
    Rewrite the links of a page that lead to a notebook of the repository.

    In the repository a notebook is in ``notebooks/``, on the site it is a page
    of the tutorial.
    """
    place = PurePosixPath(page).parent

    def rewritten(link: re.Match[str]) -> str:
        root = Path(app.srcdir).parent
        target = (Path(app.srcdir) / place / link["path"]).resolve()
        if target.parent != root / "notebooks" or target.suffix != ".ipynb":
            return link[0]
        path = relpath(f"tutorial/notebooks/{target.name}", place)
        return f"]({path}{link['anchor'] or ''})"

    source[0] = _LINK.sub(rewritten, source[0])
