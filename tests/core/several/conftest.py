"""Both kinds of stores for each test."""

from __future__ import annotations

import pytest

import dp_core as dp
from support.core.five_methods import FiveMethods
from support.core.several import OneWatch, handle


@pytest.fixture(params=[FiveMethods, OneWatch])
def backend(request: pytest.FixtureRequest) -> FiveMethods:
    """A backend with a wait for each promise, and one that watches them together."""
    made: FiveMethods = request.param()
    return made


@pytest.fixture
def promises(backend: FiveMethods) -> dp.Promises:
    """A handle on it."""
    return handle(backend)
