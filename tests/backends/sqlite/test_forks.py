"""A process that forks while it has an SQLite store open."""

from __future__ import annotations

import pytest

from support.sqlite.forking import SCENARIOS
from support.sqlite.programs import run


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_parent_and_child_both_go_on(scenario: str, tmp_path: object) -> None:
    """Neither loses anything, and the locks of both hold against others."""
    run("support.sqlite.forking", scenario, f"{tmp_path}/p.db")
