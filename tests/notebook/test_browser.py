"""JupyterLab in a real browser: what a reader sees, and the Stop button."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil
import pytest

from support.notebook.execute import NOTEBOOKS, read
from support.notebook.execute import write as write_notebook

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
                page = browser.new_page(viewport={"width": 1180, "height": 900})
                page.set_default_timeout(SECONDS * 1000)
                yield Lab(url, directory, page)
                browser.close()
        finally:
            children = psutil.Process(server.pid).children(recursive=True)
            server.terminate()
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
    """Keep a picture for the documentation, on request: DP_PICTURES=1."""
    target = PICTURES if os.environ.get("DP_PICTURES") else lab.directory
    where.screenshot(path=target / f"{name}.png")


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
