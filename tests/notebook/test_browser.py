"""JupyterLab in a real browser: what a reader sees, and the Stop button."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil
import pytest

from dp_core.notebook import Lanes
from support.notebook.chart_texts import Box, assert_apart, texts_of
from support.notebook.execute import NAMES, NOTEBOOKS, read
from support.notebook.execute import write as write_notebook
from support.notebook.journal_events import EVENTS, event

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-headless-shell"))), None
)
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
QUIET: Final = json.dumps(
    {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
)
"""As for `make lab`: nobody is asked whether news may be fetched."""
SECONDS: Final = 120
PICTURES: Final = NOTEBOOKS.parent / "docs" / "pictures"

if CHROMIUM is None:
    MISSING = "no chromium here: apt-get install chromium"
    if "CI" in os.environ:
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING, allow_module_level=True)

from playwright.sync_api import Locator, Page, sync_playwright  # noqa: E402 - after the skip

STOP: Final = (
    """\
%load_ext dp_core.notebook
import dp_core as dp
promise = dp.durable_promise("stop-me")
""",
    "await promise",
    "print(await promise.peek(), 'and healthy')",
)


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that runs."""

    url: str
    directory: Path
    page: Page

    def open(self, name: str) -> None:
        """Open a notebook alone, without the tools around it."""
        self.page.goto(f"{self.url}lab/tree/{name}?reset")
        self.page.locator(".jp-Notebook").wait_for()
        self.page.get_by_text("| Idle").first.wait_for()

    def menu(self, menu: str, item: str) -> None:
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def cell(self, number: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)


def write(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    from nbformat import v4  # noqa: PLC0415 - to import it takes seconds

    notebook = v4.new_notebook(
        cells=[v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    write_notebook(notebook, path)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start JupyterLab on copies of the notebooks, and a browser."""
    home = tmp_path_factory.mktemp("lab")
    directory = home / "notebooks"
    directory.mkdir()
    shutil.copy(NOTEBOOKS / "04_example3.ipynb", directory / "shipped.ipynb")
    shutil.copy(
        NOTEBOOKS / "01_what_is_a_durable_promise.ipynb", directory / "states.ipynb"
    )
    for name in NAMES[:2]:
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", directory)
    write_notebook(read("04_example3"), directory / "run.ipynb")
    write(directory / "stop.ipynb", *STOP)
    settings = home / "config" / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(QUIET, encoding="utf-8")
    environment = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "DP_URL": "",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={directory}",
        "--IdentityProvider.token=",
    ]
    with (
        (home / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            url = _url_of(server, home / "runtime")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=CHROMIUM, args=FLAGS
                )
                page = browser.new_page(viewport={"width": 1180, "height": 1100})
                page.set_default_timeout(SECONDS * 1000)
                yield Lab(url, directory, page)
                browser.close()
        finally:
            children = psutil.Process(server.pid).children(recursive=True)
            server.terminate()
            server.wait()
            # A kernel that was just starting is nobody's then, and stays.
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            psutil.wait_procs(children, timeout=SECONDS)


def _url_of(server: subprocess.Popen[bytes], runtime: Path) -> str:
    """Return where the server listens; it writes that into a file."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            text = path.read_text(encoding="utf-8")
            if text.endswith("}"):
                return str(json.loads(text)["url"])
        time.sleep(0.1)
    pytest.fail("JupyterLab did not start")


def picture(lab: Lab, where: Locator, name: str) -> None:
    """Take a picture; DP_PICTURES=1 renews those that the documentation has."""
    shown = PICTURES / f"{name}.png"
    renewed = "DP_PICTURES" in os.environ and shown.exists()
    where.screenshot(path=shown if renewed else lab.directory / shown.name)


def drawn(where: Locator) -> bool:
    """Tell whether an image was understood by the browser, once it has looked at it."""
    wide = "image => image.decode().then(() => image.naturalWidth >= 300, () => false)"
    return bool(where.evaluate(wide))


LANES: Final = 'img[alt^="Lane chart"]'


def test_a_fresh_clone_shows_what_happened(lab: Lab) -> None:
    """Not run and not trusted, a shipped notebook shows lanes, pills and tables."""
    lab.open("shipped.ipynb")
    lanes = lab.page.locator(LANES).first
    lanes.scroll_into_view_if_needed()

    assert drawn(lanes)
    pill = lab.page.locator("td span", has_text="resolved").first
    colour = pill.evaluate("e => getComputedStyle(e).backgroundColor")
    assert "rgb(217, 242, 234)" == colour
    picture(lab, lab.page.locator(".jp-Notebook"), "untrusted")


def test_the_state_diagram_is_drawn(lab: Lab) -> None:
    """JupyterLab draws the Mermaid text, also in a notebook that is not trusted."""
    lab.open("states.ipynb")
    diagram = lab.page.locator("figure[data-jp-mermaid-version] img").first
    diagram.scroll_into_view_if_needed()

    assert drawn(diagram)
    for word in ("Pending", "Resolved", "Rejected", "Resolve, Reject", "Dispose"):
        assert quote(word) in (diagram.get_attribute("src") or "")
    picture(lab, diagram, "states")


TEXTS: Final = """
() => [...document.querySelectorAll("text")].map(text => {
  const box = text.getBoundingClientRect();
  return [text.textContent, box.left, box.top, box.right, box.bottom];
})
"""
PIXEL: Final = """
image => image.decode().then(() => {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return pen.getImageData(6, 6, 1, 1).data[0];
})
"""


def busy(lanes: int) -> Lanes:
    """Return the lanes of processes that do the same, one a little after the other."""
    names = [*(f"worker-{n}" for n in range(lanes - 2)), "m" * 32, "太郎太郎"]
    events = [
        replace(one, process=name, pid=one.pid + 3_999_000 + n, at=one.at + n / 1000)
        for n, name in enumerate(names)
        for one in (*EVENTS, *OTHERS)
        if one.process != "bob"
    ]
    return Lanes(sorted(events, key=lambda one: one.at))


OTHERS: Final = [
    event("awaiting", at=3600 + n / 1000, id=id)
    for n, id in enumerate(("W" * 80, "短い" * 30, *map(str, range(28))))
]


@pytest.mark.parametrize("lanes", [3, 10, 40])
def test_no_text_of_a_chart_covers_another(lab: Lab, lanes: int) -> None:
    """With the fonts that are there, texts are no wider than they were taken to be."""
    chart = busy(lanes)
    [(width, height)] = re.findall(r"min-width:(\d+)px.*height:(\d+)px", chart.html())
    for wide in (int(width), 2 * int(width)):
        lab.page.set_content(
            f"<body style='margin:0'><div style='width:{wide}px'>{chart.svg()}</div>"
        )
        boxes = [Box(*found) for found in lab.page.evaluate(TEXTS)]

        assert len(boxes) > 2 * lanes
        assert_apart(boxes, wide, int(height))
        expected = texts_of(chart.svg(), wide)
        assert [box.text for box in expected] == [box.text for box in boxes]
        for box, most in zip(boxes, expected, strict=True):
            assert box.right - box.left <= most.right - most.left + 0.5, box.text


def test_charts_are_dark_where_pages_are(lab: Lab) -> None:
    """The colours of a chart are those that the browser prefers."""
    paper = {}
    for scheme in ("light", "dark"):
        lab.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of both
        lab.page.set_content(busy(3).html())
        paper[scheme] = lab.page.locator(LANES).evaluate(PIXEL)
    lab.page.emulate_media(color_scheme=None)

    assert paper["light"] > 250
    assert paper["dark"] < 40


def test_example3_runs_and_its_lanes_appear(lab: Lab) -> None:
    """Run All: ten processes, live lanes, all checks true, nothing on stderr."""
    lab.open("run.ipynb")
    assert 0 == lab.page.locator(LANES).count()

    lab.menu("Run", "Run All Cells")
    lab.page.get_by_text("All true.", exact=True).wait_for()

    board = lab.page.locator(".jp-Cell", has_text="watch(PARALLEL)")
    lanes = board.locator(LANES)
    lanes.scroll_into_view_if_needed()
    assert drawn(lanes)
    assert board.get_by_text("resolved").first.is_visible()
    assert 0 == lab.page.locator('[data-mime-type$="stderr"]').count()
    picture(lab, board.locator(".jp-Cell-outputArea"), "lanes")
    output = lab.page.locator(".jp-Cell", has_text="%%on all")
    picture(lab, output.locator(".jp-Cell-outputArea"), "ten-processes")


def test_a_readers_way(lab: Lab) -> None:
    """Run All leaves a question open, a word answers it, a link leads on."""
    lab.open(f"{NAMES[0]}.ipynb")
    lab.menu("Run", "Run All Cells")
    lab.page.get_by_text("All true.", exact=True).wait_for()
    assert 0 == lab.page.get_by_text("It is first").count()

    line = lab.page.locator(".jp-CodeCell .cm-content", has_text="%predict twice").first
    line.click()
    lab.page.keyboard.press("End")
    lab.page.keyboard.type(" second")
    lab.page.keyboard.press("Shift+Enter")
    lab.page.get_by_text("You predicted second. It is first").wait_for()

    lab.page.locator(".jp-Notebook a", has_text="next: ").first.click()
    title = lab.page.locator(".jp-Notebook h1", has_text="What is a durable promise?")
    title.first.wait_for()


def test_the_stop_button(lab: Lab) -> None:
    """Pressing Stop on an awaiting cell ends it; promise and kernel are whole."""
    lab.open("stop.ipynb")
    lab.menu("Run", "Run All Cells")
    lab.page.get_by_text("this cell waits for 'stop-me'").wait_for()
    picture(lab, lab.cell(1), "waiting")

    lab.page.locator('.jp-NotebookPanel-toolbar [data-command*="interrupt"]').click()
    lab.page.get_by_text("Stopped. No promise was changed by that").wait_for()
    # Lab takes back what Run All has queued behind the cell.
    lab.page.locator(".jp-InputPrompt", has_text="*").first.wait_for(state="hidden")
    picture(lab, lab.cell(1), "stopped")

    lab.cell(2).click()
    lab.page.keyboard.press("Control+Enter")
    lab.page.get_by_text("Pending() and healthy", exact=True).wait_for()
