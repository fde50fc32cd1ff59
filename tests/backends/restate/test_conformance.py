"""The conformance kit on Restate: every law of backends, and the recorded wire."""

from __future__ import annotations

import pytest

from dp_backends.http import HttpBackend
from dp_core.testing import Effort, OpenBackend
from dp_core.testing.suite import WireSuite
from support.core.torture import TORTURE
from support.restate import RestateServer


class TestRestate(WireSuite):
    """Our service on Restate."""

    durable = shared = True
    skip = (
        # A handler of Restate has no say in the status of its answer.
        "terms-the-first-create-is-201",
    )
    # An operation takes ten times as long as on a file store.
    effort = Effort(patience=60) if TORTURE else Effort(8, 32, 64, 0.5, 60)
    examples = 50 if TORTURE else 3

    @pytest.fixture
    def url(self, restate: RestateServer) -> str:
        """Return the URL of Restate's ingress; the ids are new ones."""
        return restate.url

    @pytest.fixture
    def open_backend(self, url: str) -> OpenBackend:
        """Return a function that opens another handle."""
        return lambda: HttpBackend(url)

    @pytest.fixture(params=["asyncio", "trio"] if TORTURE else ["asyncio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Run once by default: the tested code is in other processes."""
        return str(request.param)
