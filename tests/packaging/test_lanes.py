"""The lanes of the suite: plain pytest is the fast one."""

from __future__ import annotations

import pytest

from conftest import SLOW, SYSTEM
from support.paths import TESTS


@pytest.mark.parametrize("path", sorted({*SLOW, *SYSTEM}))
def test_a_lane_names_tests_that_exist(path: str) -> None:
    """A test that was renamed does not fall into the fast lane unseen."""
    assert (TESTS / path).exists()
