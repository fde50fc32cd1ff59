"""The documentation site: it builds, it needs nobody else, and it is complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from support.paths import ROOT

# What a browser fetches of its own accord.
FETCHED: Final = {("link", "href"), ("script", "src"), ("img", "src")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site as ``make docs`` builds it, with warnings as errors."""
    pytest.importorskip("sphinx")
    place = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    done = subprocess.run(
        [*sphinx, "-b", "html", "-d", place / "read", ROOT / "docs", place / "html"],
        capture_output=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
        text=True,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return place / "html"


class Fetches(HTMLParser):
    """Collects what a browser would fetch to show a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in FETCHED and value and not value.startswith("data:"):
                self.found.append(value)


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    """Fonts, scripts and pictures are the site's own; it can be read offline."""
    pages = sorted(site.rglob("*.html"))
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]

    fetched = {link for page in pages for link in Fetches(page).found}
    assert 20 < len(pages)
    assert [] == [link for link in sorted(fetched) if re.match(r"(\w+:)?//", link)]
    assert [] == [style for style in styles if re.search(r"url\(\W?(\w+:)?//", style)]
