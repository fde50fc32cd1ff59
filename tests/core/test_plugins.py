"""Plugins: from a store URL to a backend, through real installed packages."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path

import anyio
import pytest

import dp_core
from dp_core import (
    Backend,
    DuplicateBackendError,
    UnknownBackendError,
    connect,
    installed_schemes,
)
from dp_core._plugins import PluginFailure, _opening, installed_plugins
from dp_core.hookspecs import COMMANDS, PROJECT
from support.core.faulty_plugins import FAULTS
from support.paths import ROOT

Install = Callable[..., None]

PLUGIN = """
import dp_core
from dp_backends.memory import MemoryBackend

@dp_core.hookimpl
def dp_register_backends(register):
    register("{scheme}", MemoryBackend)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one plugin, as pip would lay it out."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, scheme: str, source: str) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n")
        (info / "entry_points.txt").write_text(f"[dp_core]\n{scheme} = {module}\n")

    return install


def test_the_first_party_backends_are_installed() -> None:
    """Each of our schemes is listed with our distribution."""
    ours = {"file", "http", "https", "memory"}

    assert ours <= {
        scheme
        for scheme, package in installed_schemes().items()
        if package == "durable-promises"
    }


async def test_a_third_partys_backend_is_found_by_its_scheme(install: Install) -> None:
    """Installing a package is all it takes; schemes are case-insensitive."""
    install("dp-third", "third", PLUGIN.format(scheme="third"))

    async with connect("THIRD:x") as promises:
        assert dp_core.Resolved(1) == await promises.promise("a").resolve(1)


def test_only_the_plugin_that_is_needed_is_imported(install: Install) -> None:
    """A plugin that cannot even be imported hurts nobody else."""
    install("dp-exploding", "exploding", "raise RuntimeError('boom')")

    assert isinstance(connect("memory:").backend, Backend)
    assert "dp_exploding" not in sys.modules
    with pytest.raises(UnknownBackendError, match="RuntimeError: boom"):
        connect("exploding:")


def test_what_was_found_is_not_looked_for_again(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To connect is cheap, the second time; what is installed later is found."""
    install("dp-one", "one", PLUGIN.format(scheme="one"))
    connect("one:")
    with monkeypatch.context() as patched:
        patched.setattr(_opening, "installed_plugins", None)
        connect("one:there")
        patched.setattr(sys, "path", [*sys.path, "elsewhere"])
        with pytest.raises(TypeError):
            connect("one:")
    install("dp-two", "two", PLUGIN.format(scheme="two"))
    connect("two:")


def test_two_plugins_for_one_scheme_are_an_error(install: Install) -> None:
    """Nobody guesses which one is meant; the error names both packages."""
    install("dp-one", "same", PLUGIN.format(scheme="same"))
    install("dp-two", "same", PLUGIN.format(scheme="same"))

    with pytest.raises(DuplicateBackendError) as caught:
        connect("same:")

    assert "same" == caught.value.scheme
    assert "dp-one" in str(caught.value)
    assert "dp-two" in str(caught.value)


def test_one_plugin_that_registers_a_scheme_twice_is_an_error(install: Install) -> None:
    """The second registration does not silently replace the first."""
    twice = PLUGIN + '    register("{scheme}", MemoryBackend)\n'
    install("dp-twice", "twice", twice.format(scheme="twice"))

    with pytest.raises(DuplicateBackendError, match="twice"):
        connect("twice:")


def test_a_plugin_that_does_not_register_its_scheme_is_named(install: Install) -> None:
    """The error points at the package that is wrong."""
    install("dp-liar", "liar", PLUGIN.format(scheme="other"))

    with pytest.raises(UnknownBackendError, match="dp-liar does not register 'liar'"):
        connect("liar:")


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("memry:x", "'memry:x': write memory:, if you mean that, or install"),
        ("Sqlite3:x", "'Sqlite3:x': write sqlite:, if you mean that, or install"),
        ("mem:x", "; the schemes known here are file:, http:, https:, memory:, "),
        ("redis://x", "'redis://x': install the package that brings redis:; the"),
        ("./promises", "for a directory write 'file:./promises'"),
        ("/var/promises", "for a directory write 'file:/var/promises'"),
    ],
)
def test_an_unknown_url_lists_what_is_known(url: str, advice: str) -> None:
    """The error says first what to do, and names all schemes that there are."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(url)

    assert advice in str(caught.value)
    assert url in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_scheme_of_a_third_party_is_named_with_its_package(install: Install) -> None:
    """Whoever reads the error knows which package brought it; ours need no word."""
    install("dp-third", "third", PLUGIN.format(scheme="third"))

    with pytest.raises(UnknownBackendError, match=r"sqlite:, third: \(dp-third\)$"):
        connect("redis:")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("LOCALHOST:8080/", "http://LOCALHOST:8080/"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("my_host:8080", "http://my_host:8080"),
        ("example.org:443/prefix", "https://example.org:443/prefix"),
        ("[::1]:80", "http://[::1]:80"),
        ("[fe80::1%eth0]:80", "http://[fe80::1%eth0]:80"),
        ("//localhost:8080?retry=5", "http://localhost:8080?retry=5"),
        ("localhost", "http://localhost"),
        ("10.0.0.7", "http://10.0.0.7"),
    ],
)
def test_an_address_without_its_scheme_is_answered_by_the_url(
    address: str, url: str
) -> None:
    """The error names the URL of that server, and is not about directories."""
    with pytest.raises(UnknownBackendError) as caught:
        connect(address)

    assert str(caught.value).endswith(f": for a server write {url!r}")


def test_a_scheme_may_be_named_like_a_host(install: Install) -> None:
    """The package that brings the scheme gets the URL, though it looks like a port."""
    install("dp-host", "myhost", PLUGIN.format(scheme="myhost"))

    assert isinstance(connect("myhost:8080").backend, Backend)


@pytest.mark.parametrize(
    "url",
    [
        "other://anna:geheim@host/x",
        "other:x?a=b&password=geheim&c=d",
        "anna:geheim@host:80",
        "anna:ge@heim@host",
    ],
)
def test_an_unknown_url_keeps_its_password(url: str) -> None:
    """Also where nobody knows how to read the URL, the error does not show it."""
    with pytest.raises(UnknownBackendError, match="no backend") as caught:
        connect(url)

    assert "geheim" not in str(caught.value)


# What other packages do wrong ------------------------------------------------


@pytest.mark.parametrize("case", FAULTS)
def test_a_plugins_fault_is_an_error_that_names_it(install: Install, case: str) -> None:
    """Whatever another package does, it is one of our errors, in one line."""
    source, word = FAULTS[case]
    sys.modules.pop("dp_faulty", None)
    install("dp-faulty", "f", source)

    with pytest.raises(UnknownBackendError) as caught:
        connect("f:x")

    assert "dp-faulty" in str(caught.value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(connect("memory:").backend, Backend)


def test_an_interrupt_while_a_plugin_loads_is_one(install: Install) -> None:
    """Ctrl-C is the user's, and no fault of the plugin."""
    install("dp-slow", "slow", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        connect("slow:")


def test_our_schemes_are_ours(install: Install) -> None:
    """A package that claims one of them does not come between."""
    install("dp-evil", "file", "raise SystemExit")

    assert "file" == type(connect("file:x").backend).__module__.split(".")[1]
    assert "durable-promises" == installed_schemes()["file"]


# Metadata ---------------------------------------------------------------------

METADATA = {
    "none": {},
    "stale": {
        "METADATA": b"Metadata-Version: 2.1\nName: durable_promises\nVersion: 0.0.1\n",
        "entry_points.txt": b"[dp_core]\nfile = dp_backends.no_such\n",
    },
    "no name": {"entry_points.txt": b"[dp_core]\nx = y\n"},
    "not text": {"entry_points.txt": b"[dp_core]\n\xff\xfe = \x00\n"},
    "not its format": {"entry_points.txt": b"dp_core = file\n[dp_core]\n= =\n[["},
    "no module": {"entry_points.txt": b"[dp_core]\nx = ./y z\n"},
    "not a name": {
        "METADATA": b"\xff\xff: \xff\n",
        "entry_points.txt": b"[dp_core]\nx=y",
    },
}


@pytest.mark.parametrize("case", METADATA)
def test_ours_work_beside_any_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Missing, stale and damaged metadata of packages harms no scheme of ours."""
    monkeypatch.syspath_prepend(str(tmp_path))
    info = tmp_path / "dp_thing-1.0.dist-info"
    info.mkdir()
    for name, content in METADATA[case].items():
        (info / name).write_bytes(content)

    for url in ("memory:", "file:x", "http://localhost"):
        assert isinstance(connect(url).backend, Backend)
    assert {"file", "http", "https", "memory"} <= set(installed_schemes())
    with pytest.raises(UnknownBackendError):
        connect("x:y")


def test_the_table_is_what_is_installed() -> None:
    """Our own entry points name what the table does, for others who read them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    for group in (PROJECT, COMMANDS):
        points = project["entry-points"][group]
        ours = {plugin.name: plugin for plugin in installed_plugins(group)}
        for name, value in points.items():
            module, _, extras = value.partition(" ")
            assert (module, f"durable-promises{extras}") == (
                ours[name].module,
                ours[name].package,
            )
            assert ours[name].is_ours


VENDORED = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
sys.path[:0] = sys.argv[1:]
import anyio, dp_core
assert "durable-promises" == dp_core.installed_schemes()["file"]
print(anyio.run(dp_core.durable_promise("id", f"file:{sys.argv[1]}/p").peek))
from importlib.metadata import entry_points
assert not entry_points(group="dp_core")
from dp_core.cli import main
sys.argv[1:] = ["backends"]
main()
"""


def test_ours_work_without_metadata(tmp_path: Path) -> None:
    """Vendored, or frozen into one file: no distribution says that they are there."""
    site = Path(anyio.__file__).parent.parent
    for name in ("anyio", "click", "httptools", "idna", "msgspec", "pluggy", "sniffio"):
        if (site / name).exists():
            (tmp_path / name).symlink_to(site / name)
    for path in site.glob("typing_extensions.py"):
        (tmp_path / path.name).symlink_to(path)
    for package in ("dp_core", "backends/dp_backends"):
        (tmp_path / Path(package).name).symlink_to(ROOT / package)
    done = subprocess.run(
        [sys.executable, "-c", VENDORED, str(tmp_path)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        text=True,
    )

    assert 0 == done.returncode, done.stderr
    lines = done.stdout.splitlines()
    assert "Pending()" == lines[0]
    # What needs an extra says so.
    plain = [line for line in lines[1:] if "durable-promises[" not in line]
    assert ["ok"] * 4 == [line.split()[-1] for line in plain]


def test_a_finder_that_fails_hides_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packages may bring their own way to be found; it is named, and ours are there."""

    class Broken(DistributionFinder):
        def find_spec(self, *_: object) -> None:
            """Find no module."""

        def find_distributions(self, *_: object) -> Iterator[Distribution]:
            raise RuntimeError("boom")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])

    *ours, broken = installed_plugins(PROJECT)

    assert {"file", "memory"} <= {plugin.name for plugin in ours}
    with pytest.raises(PluginFailure, match="RuntimeError: boom"):
        broken.load()
