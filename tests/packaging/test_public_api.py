"""The public names: what users may rely on changes in a review, and not by chance."""

from __future__ import annotations

import re
from difflib import unified_diff

import dp_core
from dp_backends.file._record import FORMATS
from dp_backends.sql.sqlite._dialect import SQL
from support.core.release.installation import PYTHONS
from support.core.release.public_api import SNAPSHOT, described
from support.paths import ROOT

POLICY = ROOT / "docs" / "reference" / "compatibility.md"


def test_public_names_are_those_that_were_looked_at() -> None:
    """Nothing is added, changed or removed without a line of the snapshot."""
    kept = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    changes = list(unified_diff(kept, described().splitlines(), n=0, lineterm=""))

    assert [] == changes, (
        "public names have changed; docs/reference/compatibility.md says what may. "
        "If it is meant: make public-api"
    )


def test_the_snapshot_has_every_public_name() -> None:
    """Also those that are defined elsewhere, with their signatures."""
    section = described().split("\n\n")[0]

    for name in dp_core.__all__:
        assert any(
            line.split("(")[0].split(" =")[0].split(":")[0].split()[-1] == name
            for line in section.splitlines()
        ), name


def test_the_policy_names_what_there_is() -> None:
    """Formats and Pythons are those of this version."""
    lines = POLICY.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines]
    formats = {
        row[1].split("`")[1]: {int(number) for number in re.findall(r"\d+", row[2])}
        for row in rows
        if len(row) == 5 and "`:" not in row[1] and ":`" in row[1]
    }
    [pythons] = [line for line in lines if "is tested on Python" in line]

    assert {*FORMATS} == formats["file:"]
    assert {*range(1, SQL.format + 1)} == formats["sqlite:"]
    assert PYTHONS == re.findall(r"\d\.\d+", pythons)


def test_the_version_is_the_same_everywhere() -> None:
    """A citation, and the changelog where it is released, name this version."""
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert f"\nversion: {dp_core.__version__}\n" in citation
    assert f"\n## {dp_core.__version__}" in changelog
