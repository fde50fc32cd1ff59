"""The documents: their code runs, their commands print what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import dp_core
from support.docs.documents import blocks, console
from support.paths import ROOT

# Made with the site, whose build finds out whether links into them lead somewhere.
GENERATED = {
    ROOT / "docs" / name
    for name in ("_build", "museum", "reference/api", "tutorial/notebooks")
}
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if not GENERATED.intersection(path.parents)
)

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, object]]:
    """Return how to start a program as a reader does: dp at hand, a new directory."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    for name in ("DP_URL", "DP_TOKEN", "DP_TOKEN_FILE"):
        environment.pop(name, None)
    return {"cwd": tmp_path, "env": environment, "text": True}


def test_the_python_of_the_readme_runs(shell: dict[str, object]) -> None:
    """The examples print what is below them, and then what the text says."""
    found = blocks("README.md")
    places = [n for n, block in enumerate(found) if block.language == "python"]
    (ten_lines, expected), (terms, listed) = (found[n : n + 2] for n in places)
    assert ("text", "text") == (expected.language, listed.language)

    first, again, approved = (
        subprocess.check_output([sys.executable, "-c", code.text], **shell)
        for code in (ten_lines, ten_lines, terms)
    )

    lines = expected.text.splitlines()
    assert lines == first.splitlines()
    assert [lines[1], *lines[1:]] == again.splitlines()
    assert listed.text == approved


def test_the_shell_lines_of_the_readme_run(shell: dict[str, object]) -> None:
    """The commands print what stands below them."""
    commands = console("README.md", "dp get greeting")
    script = "\n".join(command.line for command in commands)
    output = subprocess.check_output(
        ["bash", "-c", f"exec 2>&1\n{script}\nwait"], timeout=60, **shell
    )

    # The one in the background may print late, and may come before there is a store.
    expected = "".join(command.output for command in commands)
    printed = [line for line in output.splitlines() if "there is no store" not in line]
    assert sorted(expected.splitlines()) == sorted(printed)


def test_the_curl_lines_of_the_readme_run(shell: dict[str, object]) -> None:
    """Asked with the reference's own lines, the server answers as it does."""
    if shutil.which("curl") is None:
        missing = "curl is not installed"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    commands = console("README.md", "curl")
    assert ["peek", "await", "resolve", "reject"] == [
        re.findall(r"durablePromiseServer/(\w+)", command.line)[0]
        for command in commands
    ]

    with subprocess.Popen(
        ["dp", "serve", "--port", "0"], stdout=subprocess.PIPE, **shell
    ) as server:
        assert server.stdout is not None
        try:
            port = re.findall(r":(\d+)$", server.stdout.readline())[0]
            running = []
            for command in commands:
                line = command.line.replace("localhost:8080", f"localhost:{port}")
                curl = subprocess.Popen(
                    ["bash", "-c", f"exec {line} --silent"],
                    stdout=subprocess.PIPE,
                    **shell,
                )
                running.append(curl)
                if "/await" not in line:
                    curl.wait(60)
            answers = [curl.communicate(timeout=60)[0] for curl in running]
        finally:
            server.terminate()

    assert [command.output.strip() for command in commands] == answers
    assert 0 == server.returncode


def test_every_command_and_variable_of_the_program_is_documented() -> None:
    """The README names what ``dp --help`` lists."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    usage = subprocess.check_output(
        [sys.executable, "-m", "dp_core", "--help"], text=True
    )
    commands = re.findall(r"^  (\w+) ", usage.partition("Commands:")[2], re.MULTILINE)

    assert len(commands) > 5
    assert [] == [name for name in commands if f"dp {name}" not in text]


def test_every_scheme_is_documented() -> None:
    """The README's table has a row for each backend that comes with the library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    schemes = project["project"]["entry-points"]["dp_core"]

    assert [] == [scheme for scheme in schemes if f"`{scheme}:" not in text]


def test_a_backend_as_contributing_shows_it_works(shell: dict[str, object]) -> None:
    """The module and entry point of CONTRIBUTING.md are found by dp."""
    found = {block.language: block.text for block in blocks("CONTRIBUTING.md")}
    place = Path(str(shell["cwd"]))
    info = place / "dp_lmdb-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dp-lmdb\n")
    points = tomllib.loads(found["toml"])["project"]["entry-points"]["dp_core"]
    lines = [f"{name} = {module}" for name, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[dp_core]", *lines]))
    (place / "dp_lmdb.py").write_text(found["python"])

    listed = subprocess.check_output(
        [sys.executable, "-m", "dp_core", "backends"], **shell
    )

    assert ["lmdb", "dp-lmdb", "ok"] in [line.split() for line in listed.splitlines()]


def test_the_readme_says_how_to_install_it_today() -> None:
    """It installs from a clone, and names an extra that there is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [command] = console("README.md", "pip install")

    extras = re.findall(r"pip install '(\.|durable-promises)\[(\w+)\]'", text)
    assert "pip install '.[server]'" == command.line
    assert {".", project["project"]["name"]} == {what for what, _ in extras}
    assert {extra for _, extra in extras} <= {
        *project["project"]["optional-dependencies"]
    }


def test_the_first_screen_is_for_users() -> None:
    """Install, code, stores and picture come before what contributors run."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    order = ["pip install", "```python", "| store URL |", "![", "make demo"]

    assert sorted(order, key=text.index) == order


def test_the_citation_is_of_this_version() -> None:
    """CITATION.cff has what its schema demands, and the version of the package."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert dp_core.__version__ == str(citation["version"])


@pytest.mark.parametrize(
    ("name", "command"), [("ci", ".ci/run"), ("coverage", "make coverage")]
)
def test_hosted_ci_runs_what_ours_runs(name: str, command: str) -> None:
    """A workflow calls one command of ours, and nothing else that tests."""
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]

    assert command == steps[-1]["run"]
    assert [] == [step for step in steps if "pytest" in step.get("run", "")]


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link or picture names a file of the repository."""
    links = LINK.findall(document.read_text(encoding="utf-8"))
    targets = [(document.parent / link).resolve() for link in links]

    assert [] == [
        target
        for target in targets
        if not (target.exists() or GENERATED.intersection(target.parents))
    ]


def test_documents_are_found() -> None:
    """The test above looks at the real thing."""
    names = {path.name for path in DOCUMENTS}
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "architecture.md"} <= names
