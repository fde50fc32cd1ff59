"""Oldest versions that an installation may get: past every known advisory."""

from __future__ import annotations

import tomllib
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from support.paths import ROOT

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS: Final = [
    Requirement(text)
    for group in (
        PROJECT["dependencies"],
        *PROJECT["optional-dependencies"].values(),
    )
    for text in group
]

# The first version without the fault, and the fault.
SAFE: Final = {
    "anyio": ("4.14.2", "a CapacityLimiter grants too much; TLS host names"),
    "apsw": (
        "3.53.2",
        "CVE-2026-11824; before 3.51.3, a WAL that is reset loses pages",
    ),
    "granian": ("2.7.4", "CVE-2026-42544"),
    "httptools": ("0.8.0", "URLs over 65,535 bytes are truncated (#142)"),
    "jupyter-server": ("2.20.0", "CVE-2026-44727"),
    "jupyterlab": ("4.6.4", "CVE-2026-102831"),
    "pydantic": ("2.13", "before it, a class's serializer cannot be passed over"),
    "psycopg": ("3.3.5", "its libpq: CVE-2025-12818, CVE-2026-6477"),
    "pyjwt": ("2.14", "CVE-2026-32597 and later ones, all mended by it"),
    "starlette": ("1.3.1", "CVE-2026-48710, CVE-2026-48817, PYSEC-2026-249"),
}


def floor(name: str) -> Version:
    """Return the oldest version of a package that our requirements admit."""
    return min(
        Version(part.version)
        for each in REQUIREMENTS
        for part in each.specifier
        if each.name == name and part.operator == ">="
    )


@pytest.mark.parametrize("name", SAFE)
def test_a_floor_is_past_the_advisory(name: str) -> None:
    """No version with a published fault satisfies our requirements."""
    first_safe, _ = SAFE[name]

    assert Version(first_safe) <= floor(name)


@pytest.mark.parametrize("requirement", sorted(set(REQUIREMENTS), key=str), ids=str)
def test_every_requirement_has_a_floor(requirement: Requirement) -> None:
    """An installation never gets a version that nobody has tried."""
    assert floor(requirement.name) > Version("0")
