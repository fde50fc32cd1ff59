"""A real browser, and what its pages look like, measured."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

import dp_core.sync as dp
from support.paths import ROOT
from support.server.people import SECRET
from support.server_process import Server, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = [
    "Place",
    "contrasts",
    "opened",
    "overflow",
    "picture",
    "require_chromium",
    "running_place",
]

T = TypeVar("T")

SECONDS: Final = 60
"""The patience of a test: far more than anything takes."""

PICTURES: Final = ROOT / "docs" / "pictures"

_CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-headless-shell"))), None
)


def require_chromium() -> None:
    """Skip the module where there is no browser; fail in CI."""
    if _CHROMIUM is None:
        missing = "no chromium here: apt-get install chromium"
        if "CI" in os.environ:
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing, allow_module_level=True)


@dataclass(frozen=True)
class Place:
    """A server that runs, and a browser."""

    server: Server
    browser: Browser
    promises: dp.Promises
    thread: Executor
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def do(self, work: Callable[[dp.Promises], T]) -> T:
        """Return what is done with the promises; this thread is the browser's."""
        return self.thread.submit(work, self.promises).result(SECONDS)

    def info(self, id: str) -> dp.PromiseInfo[Any]:
        """Return what the store knows."""
        return self.do(lambda promises: promises.promise(id).info())

    def link(self, id: str, by: str | None = "alice", **terms: Any) -> str:
        """Make a promise and a link to it."""
        if terms:
            self.do(lambda promises: promises.create(id, **terms))
        days = timedelta(days=3)
        return self.do(
            lambda promises: promises.link(
                id, expires=days, by=by, base=self.url, secret=SECRET
            )
        )

    def page(self, **options: Any) -> Page:
        """Open a page in which no script runs."""
        context = self.browser.new_context(
            **{"java_script_enabled": False, "viewport": {"width": 900, "height": 700}}
            | options
        )
        context.set_default_timeout(SECONDS * 1000)
        return context.new_page()


@contextmanager
def running_place(folder: Path, browser: Browser, **settings: Any) -> Iterator[Place]:
    """Run a server for a browser, on a store in a directory, until the block ends."""
    url = f"file:{folder}/store"
    with running(url, **settings) as server, ThreadPoolExecutor(1) as thread:
        promises = thread.submit(dp.connect, url).result(SECONDS)
        yield Place(server, browser, promises, thread, folder)
        thread.submit(promises.close).result(SECONDS)


@contextmanager
def opened() -> Iterator[Browser]:
    """Open a browser until the block ends."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - after the skip

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                # The server is to be what stops pages of others.
                "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


def picture(page: Page, name: str, otherwise: Path) -> None:
    """Keep a picture for the documentation, on request: DP_PICTURES=1."""
    target = PICTURES if os.environ.get("DP_PICTURES") else otherwise
    page.screenshot(path=target / f"{name}.png", full_page=True)


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    wide: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide


# WCAG 2.2: 1.4.3 (text, 4.5:1) and 1.4.11 (the edge of a field, 3:1). A colour is
# painted, so that the browser says what it is.
_CONTRASTS: Final = """
() => {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const paper = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const note = (element, what, colour, under, least) => {
    const is = ratio(rgba(colour), under);
    found.push([`${what} of <${element.tagName.toLowerCase()}>`
      + ` ${element.textContent.trim().slice(0, 30)}`, is, least]);
  };
  for (const element of document.body.querySelectorAll("*")) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const has = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (has) note(element, "text", style.color, paper(element), 4.5);
    if (element.matches("input:not([type=hidden]), textarea, select, button.second")) {
      note(element, "edge", style.borderTopColor, paper(element.parentElement), 3);
    }
    if (element.matches("button:not(.second)")) {
      note(element, "area", style.backgroundColor, paper(element.parentElement), 3);
    }
    if (element.matches("a, button, input:not([type=hidden]), textarea, summary")) {
      element.focus({focusVisible: true});
      const focused = getComputedStyle(element);
      if (document.activeElement === element) {
        const under = paper(element.parentElement);
        const width = parseFloat(focused.outlineWidth);
        note(element, "focus", width >= 2 ? focused.outlineColor : "#808080", under, 3);
      }
      element.blur();
    }
  }
  return found;
}
"""


def contrasts(page: Page) -> list[tuple[str, float, float]]:
    """
    Return the contrasts of a page, as its browser shows it.

    Returns:
        What it is, how much contrast it has, and how much it needs (WCAG 2.2, AA).
    """
    found: Any = page.evaluate(_CONTRASTS)
    return [(what, has, needs) for what, has, needs in found]
