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
        notebooks = Path(app.srcdir).parent / "notebooks"
        target = (Path(app.srcdir) / place / link["path"]).resolve()
        if not target.is_relative_to(notebooks) or target.suffix != ".ipynb":
            return link[0]
        name = target.relative_to(notebooks).as_posix()
        path = relpath(f"tutorial/notebooks/{name}", place)
        return f"]({path}{link['anchor'] or ''})"

    source[0] = _LINK.sub(rewritten, source[0])
