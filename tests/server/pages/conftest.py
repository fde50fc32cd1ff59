"""An app whose pages people ask for, and its store."""

from __future__ import annotations

import pytest

from dp_core import Promises
from dp_core.server import App
from support.server.people import served


@pytest.fixture
def pages() -> App:
    """Return an app with a token and a secret."""
    return served()


@pytest.fixture
def promises(pages: App) -> Promises:
    """Return a handle on its store: of somebody else, for the app."""
    return Promises(pages._backend, "memory:")
