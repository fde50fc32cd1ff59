"""The documentation site: it builds, needs nobody else, and has everything in it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import click
import pytest

import dp_core
from dp_core import hookspecs
from dp_core.cli._main import program
from dp_core.cli._plugin_commands import find_command, installed_commands
from dp_core.testing import LAWS
from support.docs.site import Page, build
from support.paths import ROOT, SOURCES

REFERENCE: Final = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site."""
    pytest.importorskip("sphinx")
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def pages(site: Path) -> Mapping[Path, Page]:
    """Return the pages of the built site."""
    return {path: Page(path) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def described(site: Path) -> Mapping[str, set[str]]:
    """Return what the site describes: names by their kind."""
    inventory = importlib.import_module("sphinx.util.inventory").InventoryFile
    found = inventory.loads((site / "objects.inv").read_bytes(), uri="").data
    return {kind: set(names) for kind, names in found.items()}


# The site --------------------------------------------------------------------


def test_no_page_fetches_anything_from_elsewhere(
    site: Path, pages: Mapping[Path, Page]
) -> None:
    """Fonts, scripts and pictures are the site's own; it can be read offline."""
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]
    fetched = {link for page in pages.values() for link in page.fetched}

    assert 20 < len(pages)
    assert [] == [link for link in sorted(fetched) if re.match(r"(\w+:)?//", link)]
    assert [] == [style for style in styles if re.search(r"url\(\W?(\w+:)?//", style)]


def test_links_within_the_site_lead_somewhere(pages: Mapping[Path, Page]) -> None:
    """The file of a link exists, and so does the place in it."""
    broken = [
        (page.path.name, link)
        for page in pages.values()
        for link in page.links
        if not leads_somewhere(page, link, pages)
    ]

    assert [] == broken


def leads_somewhere(page: Page, link: str, pages: Mapping[Path, Page]) -> bool:
    """Tell whether a link is to another site, or to a place in this one."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = page.path.parent / unquote(parts.path) if parts.path else page.path
    target = target.resolve()
    if not target.is_file():
        return False
    known = pages.get(target)
    return not parts.fragment or known is None or parts.fragment in known.anchors


# The reference ---------------------------------------------------------------


def public_names() -> dict[str, Any]:
    """Return what modules without an underscore have in their ``__all__``."""
    return {
        f"{module}.{name}": getattr(importlib.import_module(module), name)
        for module in SOURCES
        if not any(part.startswith("_") for part in module.split("."))
        for name in getattr(importlib.import_module(module), "__all__", ())
    }


def test_every_public_name_is_described(described: Mapping[str, set[str]]) -> None:
    """Each is on a page, under its own path or another of the same object."""
    names = public_names()
    found = {
        name
        for kind, members in described.items()
        if kind.startswith("py:")
        for name in members
    }
    # Two constants may be one object by chance; each has a place of its own.
    values = {
        id(names[name])
        for name in found & names.keys()
        if not isinstance(names[name], str | int | float | tuple | frozenset)
    }

    assert 100 < len(names)
    assert [] == [
        name
        for name, value in names.items()
        if name not in found and id(value) not in values
    ]


def test_every_error_is_in_the_tree(site: Path) -> None:
    """The page on errors names all of them."""
    text = Page(site / "reference" / "errors.html").text
    errors = [
        name
        for name in dp_core.__all__
        if inspect.isclass(kind := getattr(dp_core, name))
        and issubclass(kind, dp_core.DurablePromiseError)
    ]

    assert 10 < len(errors)
    assert [] == [name for name in errors if name not in text]


def test_every_law_is_listed(site: Path) -> None:
    """The page on laws has each with what it demands."""
    text = Page(site / "reference" / "laws.html").text

    assert [] == [law.name for law in LAWS.values() if law.name not in text]


def test_every_argument_of_a_hook_has_a_row() -> None:
    """The page on hooks has a section for each, and a row for each argument."""
    text = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    sections = {part.split("\n")[0]: part for part in text.split("\n## ")}
    hooks = [
        function
        for name, function in vars(hookspecs).items()
        if name.startswith("dp_register_")
    ]

    assert len(hooks) >= 2
    assert [] == [
        (hook.__name__, argument)
        for hook in hooks
        for argument in inspect.signature(hook).parameters
        if f"| `{argument}` |" not in sections.get(hook.__name__, "")
    ]


def test_every_command_and_option_is_described(
    described: Mapping[str, set[str]],
) -> None:
    """Whatever can follow dp on a command line is on its page."""
    wanted = {
        f"{path.replace(' ', '-')}.{option}"
        for path, command in commands("dp", program)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option != "--help"
    }

    assert {"dp-get.--timeout", "dp-restate-up.--nodes"} <= wanted
    assert [] == sorted(wanted - described["std:cmdoption"])


def commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands below one, plugins' too, and how each is called."""
    yield path, command
    if not isinstance(command, click.Group):
        return
    found = dict(command.commands)
    if command is program:
        found |= {name: find_command(name) for name in installed_commands()}
    for name, inner in found.items():
        yield from commands(f"{path} {name}", inner)


def test_every_environment_variable_has_a_row() -> None:
    """The page on the environment names each ``DP_…`` in the code."""
    text = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    names = {
        name
        for path in (*SOURCES.values(), ROOT / "Makefile")
        for name in re.findall(r"\b_?DP_[A-Z_]+\b", path.read_text(encoding="utf-8"))
    }

    assert {"DP_URL", "DP_TOKEN", "DP_TOKEN_FILE"} <= names
    assert [] == sorted(name for name in names if f"`{name}`" not in text)


def test_every_status_of_the_server_has_a_row() -> None:
    """The page on the wire has each HTTP status that the server answers with."""
    text = (REFERENCE / "wire.md").read_text(encoding="utf-8")
    sources = [
        path.read_text(encoding="utf-8")
        for name, path in SOURCES.items()
        if name.startswith(("dp_core.server", "dp_core.wire"))
    ]
    pattern = r"ProtocolError\(\s*(\d{3})|Error: (\d{3}),"
    statuses = {
        first or second
        for source in sources
        for first, second in re.findall(pattern, source)
    } - {"200", "502"}  # what a client says of a server's answer

    assert {"400", "410", "421", "503"} <= statuses
    assert [] == sorted(status for status in statuses if f"| {status} |" not in text)


# The architecture ------------------------------------------------------------


def test_every_room_has_a_row() -> None:
    """The table of rooms has the packages and the folders of the tree, no others."""
    page = ROOT / "docs" / "explanation" / "architecture.md"
    text = page.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([\w/]+)/` \|", text, re.MULTILINE))
    packages = {
        str(path.parent.relative_to(ROOT))
        for path in SOURCES.values()
        if path.name == "__init__.py"
    }
    others = {"benchmarks", "docs", "examples", "notebooks", "tests"}
    others |= {"examples/agents", "examples/frameworks"}

    assert packages | others == rows
    assert [] == [name for name in others if not (ROOT / name).is_dir()]
