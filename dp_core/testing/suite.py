"""
`BackendSuite` and `WireSuite`: the laws as tests, for pytest.

.. code-block:: python

    import pytest
    from dp_core.testing import BackendSuite


    class TestMyBackend(BackendSuite):
        durable = shared = True

        @pytest.fixture
        def open_backend(self, tmp_path):
            return lambda: MyBackend(tmp_path)

Every law is a test of its name, on every event loop that is installed, and
the state machine is one more test. A law that does not apply, or is named in
``skip``, is a skipped test that says why.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from importlib.util import find_spec
from typing import ClassVar, Final

from dp_core._extras import without_extra

try:
    import hypothesis
    import pytest
    from hypothesis.stateful import run_state_machine_as_test
except ModuleNotFoundError as error:
    raise without_extra(error, "suites of the kit need", "testing") from None

from dp_core.testing._check import check_backend
from dp_core.testing.kit import (
    ConformanceError,
    Effort,
    Law,
    OpenBackend,
    Outage,
    check_names,
)
from dp_core.testing.laws import LAWS
from dp_core.testing.pytest_plugin import coverage
from dp_core.testing.stateful import PromiseMachine
from dp_core.testing.wire import (
    CASES,
    MANY_CASES,
    TERMS_CASES,
    many_law,
    terms_law,
    wire_law,
)

__all__ = ["BackendSuite", "WireSuite"]

_LOOPS: Final = [name for name in ("asyncio", "trio") if find_spec(name)]


class BackendSuite:
    """
    All laws for one kind of store; a subclass is a test class.

    Attributes:
        durable: Whether what was acknowledged outlives all handles; required.
        shared: Whether two handles see each other; required.
        skip: Names of laws to skip, visibly.
        own_process: Whether the process of the tests is there for them alone, so that
            a law may use up all its files for a moment. Not in a Jupyter kernel.
        own_clock: Whether deadlines are those of `dp_core.backend.now` in the process
            of the tests; then the state machine moves that clock.
        effort: The amount of work that goes into breaking a law.
        examples: How many runs of the state machine are tried.
    """

    durable: ClassVar[bool | None] = None
    shared: ClassVar[bool | None] = None
    skip: ClassVar[Collection[str]] = ()
    own_process: ClassVar[bool] = False
    own_clock: ClassVar[bool] = False
    effort: ClassVar[Effort] = Effort()
    examples: ClassVar[int] = 25

    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [
        pytest.mark.anyio,
        pytest.mark.conformance,
    ]

    @pytest.fixture
    def open_backend(self) -> OpenBackend:
        """Return a function that opens another handle on the store of this test."""
        raise NotImplementedError(
            f"{type(self).__name__} must override the fixture open_backend: return "
            "a function that opens another handle on one store, new for each test"
        )

    @pytest.fixture
    def outage(self) -> Outage | None:
        """
        Return a function that makes the store fail for a while; see `Outage`.

        Without one, the law about outages is a skipped test.
        """
        return None

    @pytest.fixture(params=_LOOPS)
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Run every test on every event loop that is installed."""
        return str(request.param)

    @pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
    async def test_law(
        self,
        law: Law,
        open_backend: OpenBackend,
        outage: Outage | None,
        request: pytest.FixtureRequest,
    ) -> None:
        """The law holds."""
        await self.judge(law, open_backend, request, outage)

    def test_machine(self, open_backend: OpenBackend, anyio_backend: str) -> None:
        """Random sequences of operations have the same results as on a dict."""
        durable, shared = self.promises()
        members = {
            "open_backend": lambda machine: open_backend(),
            "loop": anyio_backend,
            "durable": durable,
            "shared": shared,
            "own_clock": self.own_clock,
        }
        machine = type("Machine", (PromiseMachine,), members)
        run_state_machine_as_test(
            machine,
            settings=hypothesis.settings(
                max_examples=self.examples,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            ),
        )

    # What the tests share ---------------------------------------------------

    def promises(self) -> tuple[bool, bool]:
        """
        Return ``(durable, shared)``, the promises of the store.

        Raises:
            NotImplementedError: The subclass does not set them.
        """
        if self.durable is None or self.shared is None:
            raise NotImplementedError(
                f"{type(self).__name__} must say what the store promises: set "
                "durable and shared to True or False"
            )
        return self.durable, self.shared

    async def judge(
        self,
        law: Law,
        open_backend: OpenBackend,
        request: pytest.FixtureRequest,
        outage: Outage | None = None,
    ) -> None:
        """Try *law*; fail with its history, or skip with the reason."""
        durable, shared = self.promises()
        check_names(self.skip, [*LAWS, *CASES, *TERMS_CASES, *MANY_CASES])
        covered = coverage(request.config)
        effort = self.effort
        if covered.histories:
            effort = replace(effort, histories=covered.histories)
        try:
            report = await check_backend(
                open_backend,
                durable=durable,
                shared=shared,
                skip=[law.name] if law.name in self.skip else [],
                laws=[law],
                effort=effort,
                seed=covered.seed,
                outage=outage,
                own_process=self.own_process,
            )
        except ConformanceError as error:
            pytest.fail(str(error), pytrace=False)
        for _, reason in report.skipped:
            pytest.skip(reason)
        covered.add(report)


class WireSuite(BackendSuite):
    """All laws for a server: those of its backend, and those of the wire."""

    @pytest.fixture
    def url(self) -> str:
        """Return the URL of a server without promises, new for each test."""
        raise NotImplementedError(
            f"{type(self).__name__} must override the fixture url: return the URL "
            "of a running server"
        )

    @pytest.mark.parametrize("case", CASES)
    async def test_recorded(
        self,
        case: str,
        url: str,
        open_backend: OpenBackend,
        request: pytest.FixtureRequest,
    ) -> None:
        """The server answers as the reference did."""
        await self.judge(wire_law(case, url), open_backend, request)

    @pytest.mark.parametrize("case", TERMS_CASES)
    async def test_terms(
        self,
        case: str,
        url: str,
        open_backend: OpenBackend,
        request: pytest.FixtureRequest,
    ) -> None:
        """The server says of terms what it must, if it has them."""
        await self.judge(terms_law(case, url), open_backend, request)

    @pytest.mark.parametrize("case", MANY_CASES)
    async def test_many(
        self,
        case: str,
        url: str,
        open_backend: OpenBackend,
        request: pytest.FixtureRequest,
    ) -> None:
        """The server answers batches and event streams as it must, if it has them."""
        await self.judge(many_law(case, url), open_backend, request)
