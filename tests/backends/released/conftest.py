"""One event loop for all tests here."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run each test once: a format is not the business of an event loop."""
    return "asyncio"
