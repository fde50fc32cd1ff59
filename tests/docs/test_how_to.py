"""The how-to pages: whoever does what they show sees what they show."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from support.docs.walkthrough import Reader, steps
from support.paths import EXAMPLES, ROOT

HOW_TO: Final = ROOT / "docs" / "how-to"

# These have tests of their own, which know what they need.
ELSEWHERE: Final = {
    "choose-a-store": "tests/docs/test_choose_a_store.py",
    "frameworks/jupyter": "tests/docs/frameworks/test_jupyter.py",
    "move-to-restate": "tests/backends/restate/test_examples.py",
    "observe-operations": "tests/docs/test_observe_operations.py",
    "run-for-a-team": "tests/server/running/test_deployed.py",
    "write-a-backend": "tests/docs/test_write_a_backend.py",
}
NEEDS: Final = {
    "ask-a-human": ("curl", "mcp"),
    "call-another-system": ("standardwebhooks",),
    "follow-with-opentelemetry": ("opentelemetry.sdk",),
    "frameworks/celery": ("celery",),
    "frameworks/django": ("django", "gunicorn", "curl"),
    "frameworks/fastapi": ("fastapi", "curl"),
    "frameworks/job-queue": ("huey",),
    "frameworks/starlette": ("uvicorn", "curl"),
    "frameworks/webhook": ("uvicorn",),
    "other-languages": ("curl", "tsc", "node"),
    "typed-values": ("pydantic",),
}
NAMES: Final = {
    str(path.relative_to(HOW_TO).with_suffix(""))
    for path in HOW_TO.rglob("*.md")
    if path.stem != "index"
}
PAGES: Final = sorted(NAMES - set(ELSEWHERE))


def need(name: str) -> None:
    """Skip where a program or module is missing; fail in continuous integration."""
    place = ROOT / ".venv" / "node_modules" / ".bin"
    if not (
        shutil.which(name, path=f"{place}{os.pathsep}{os.environ['PATH']}")
        or importlib.util.find_spec(name)
    ):
        missing = f"{name} is not installed"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_sees_what_the_page_shows(page: str, tmp_path: Path) -> None:
    """Files as shown, commands as shown: each prints what stands below it."""
    for name in NEEDS.get(page, ()):
        need(name)

    printed = list(Reader(tmp_path).follow(steps(HOW_TO / f"{page}.md")))

    assert [] != printed
    assert [(line, expected) for line, expected, _ in printed] == [
        (line, actual) for line, _, actual in printed
    ]


@pytest.mark.parametrize("page", PAGES)
def test_all_code_of_a_page_is_run(page: str) -> None:
    """A block of code is a file or commands; nothing is shown for show."""
    found = steps(HOW_TO / f"{page}.md")

    assert [] == [
        step.text for step in found if step.file is None and step.language != "console"
    ]
    fences = (HOW_TO / f"{page}.md").read_text(encoding="utf-8").count("\n```")
    assert fences == 2 * len(found)


def test_pages_and_programs_of_frameworks_are_short() -> None:
    """Each has less than 60 lines, and each program is on a page."""
    programs = {path for path in EXAMPLES.glob("frameworks/*") if path.is_file()}
    pages = {path for path in HOW_TO.glob("frameworks/*.md") if path.stem != "index"}
    text = "".join(path.read_text(encoding="utf-8") for path in pages)

    assert 1 <= len(programs) <= len(pages) <= 11
    assert {} == {
        path.name: lines
        for path in programs | pages
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) >= 60
    }
    assert [] == [path.name for path in programs if path.name not in text]


def test_pages_with_tests_of_their_own_have_them() -> None:
    """What is left out above is run by the test that is named for it."""
    assert [] == [
        page
        for page, test in ELSEWHERE.items()
        if page not in (ROOT / test).read_text(encoding="utf-8")
    ]
