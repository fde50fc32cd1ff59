"""`build`: the documentation site, as ``make docs`` builds it."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from support.paths import ROOT

__all__ = ["Page", "build"]

_FETCHED: Final = {("link", "href"), ("script", "src"), ("img", "src")}


def build(place: Path) -> Path:
    """Build the site below *place*, with warnings as errors; return where it is."""
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "2"]
    done = subprocess.run(
        [*sphinx, "-b", "html", "-d", place / "read", ROOT / "docs", place / "html"],
        capture_output=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
        text=True,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return place / "html"


class Page(HTMLParser):
    """
    A page of the site.

    Attributes:
        path: Its file.
        anchors: The places in it that a link may lead to.
        links: What a reader may follow.
        fetched: What a browser loads to show it.
        text: What a reader reads.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self._pieces: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = "".join(self._pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"id", "name"} and value:
                self.anchors.add(value)
            if (tag, name) == ("a", "href") and value:
                self.links.append(value)
            if (tag, name) in _FETCHED and value and not value.startswith("data:"):
                self.fetched.append(value)

    def handle_data(self, data: str) -> None:
        self._pieces.append(data)
