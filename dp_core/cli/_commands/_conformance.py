"""`conformance`: the command that tries the laws on a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import anyio
import click

from dp_core._client import connect
from dp_core._errors import (
    BackendError,
    BackendUnavailableError,
    OutcomeUnknownError,
)
from dp_core._states import Resolved
from dp_core._text import without_password
from dp_core._tokens import token_from_environment
from dp_core.backend import Backend, WireBackend
from dp_core.cli._examples import examples
from dp_core.cli._input import WholeNumber, json_option
from dp_core.cli._output import complain, complain_once, say, say_json
from dp_core.cli._status import Status

if TYPE_CHECKING:
    from dp_core.testing import Report

__all__ = ["conformance"]


@click.command(
    epilog=examples(
        "dp conformance file:./scratch --durable",
        "dp conformance http://localhost:8080",
    ),
)
@click.argument("store", metavar="URL")
@click.option(
    "--durable",
    is_flag=True,
    help="Outcomes outlive all handles; those of a server do.",
)
@click.option("--alone", is_flag=True, help="Two handles do not see each other.")
@click.option("--skip", multiple=True, metavar="LAW", help="Leave this law out.")
@click.option(
    "--seed", type=WholeNumber(), help="Repeat the choices of an earlier run."
)
@click.option(
    "--trio", "loop", flag_value="trio", default="asyncio", help="Run on trio."
)
@json_option
def conformance(  # noqa: PLR0913 - click passes each option by its name
    store: str,
    skip: tuple[str, ...],
    seed: int | None,
    loop: str,
    *,
    durable: bool,
    alone: bool,
    as_json: bool,
) -> Status:
    """
    Try every law of durable promises on the store at URL.

    For http: and https: these are also the laws of the wire, so that a server
    in any language can be judged. All ids are new ones, and stay there. The
    exit code is 0 if all laws hold, 1 if one is broken, and 2 if the store
    cannot be used, or cannot any more: nobody is judged for a full disk.
    """
    # The kit is large, and of no use to the other commands.
    from dp_core.testing import ConformanceError  # noqa: PLC0415 - an extra
    from dp_core.testing.kit import StoreGoneError  # noqa: PLC0415 - an extra

    probe = _Probe(store)
    judge = partial(
        _judge, store, probe, durable=durable, shared=not alone, skip=skip, seed=seed
    )
    gone: StoreGoneError | None = None
    try:
        report = anyio.run(judge, backend=loop)
    except (ConformanceError, StoreGoneError) as error:
        report = error.report
        gone = error if isinstance(error, StoreGoneError) else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--skip") from None
    say_json(report.as_dict()) if as_json else say(str(report))
    if gone is not None:
        complain_once(
            f"{gone}: {without_password(store)}: {probe.reason}; this is what was "
            "judged before"
        )
        return Status.FAILED
    return Status.REJECTED if report.violations else Status.RESOLVED


async def _judge(  # noqa: PLR0913 - all but two have a name
    url: str,
    probe: _Probe,
    *,
    durable: bool,
    shared: bool,
    skip: tuple[str, ...],
    seed: int | None,
) -> Report:
    from dp_core.testing import check_backend, check_wire  # noqa: PLC0415 - an extra

    async with connect(url) as store:
        # An unreachable store is an error, and not one that breaks every law.
        await store.backend.peek("dp-conformance")
    progress = _Ticker()
    options: dict[str, Any] = {
        "open_backend": partial(_open, url),
        "skip": skip,
        "seed": seed,
        "own_process": True,
        "is_there": probe,
        "progress": progress,
    }
    if not isinstance(store.backend, WireBackend):
        check = partial(check_backend, durable=durable, shared=shared, **options)
        return await progress.told_during(check)
    token = token_from_environment()
    headers = {"Authorization": f"Bearer {token}"} if token else None
    wire = store.backend.wire_url
    check = partial(check_wire, wire, durable=True, headers=headers, **options)
    return await progress.told_during(check)


class _Ticker:
    """Says now and then which law is tried: on a slow store that takes many minutes."""

    def __init__(self) -> None:
        self._begun = self._law_begun = monotonic()
        self._law = "beginning"
        self._each = 0.0
        self._others = 0

    def __call__(self, number: int, count: int, name: str) -> None:
        """Note which law is tried next."""
        self._law_begun = monotonic()
        self._law = f"law {number} of {count}, {name}"
        before = number - 1
        self._each = (self._law_begun - self._begun) / before if before else 0.0
        self._others = count - number

    def __str__(self) -> str:
        now = monotonic()
        law = now - self._law_begun
        others = self._each * self._others
        # Laws differ: one that takes longer than the average says nothing of its end,
        # and the average says nothing of a few.
        is_usual = law <= self._each or not self._each
        so_far = "" if is_usual else f", for {law:,.0f} s so far"
        left = others + self._each - law if is_usual else others
        whose = "to go" if is_usual else "for the others"
        guess = f"; about {left:,.0f} s {whose}" if left >= _LEAST_GUESS else ""
        return f"{now - self._begun:,.0f} s: {self._law}{so_far}{guess}"

    async def told_during(self, check: Callable[[], Awaitable[Report]]) -> Report:
        """Return what *check* returns; say every half minute where it is."""
        ended: Report | Exception
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell)
            try:
                ended = await check()
            except Exception as error:  # noqa: BLE001 - raised below, in no group
                ended = error
            tasks.cancel_scope.cancel()
        if isinstance(ended, Exception):
            raise ended
        return ended

    async def _tell(self) -> None:
        while True:
            await anyio.sleep(_TELL_SECONDS)
            complain(f"dp: {self}")


_TELL_SECONDS: Final = 30

_LEAST_GUESS: Final = 5
"""The fewest seconds to go that are told; one law may take longer than that."""


class _Probe:
    """
    Tells whether a store can be used.

    It cannot where a look fails or does not end, nor where writing fails for what the
    store itself calls passing. All else that is wrong with it is for the laws to say.

    Attributes:
        reason: Why it could not, the last time.
    """

    def __init__(self, url: str) -> None:
        self.reason = ""
        self._url = url

    async def __call__(self) -> bool:
        """Return whether the store answers, and takes a promise."""
        id = f"dp-conformance-{token_hex(8)}"
        try:
            with anyio.fail_after(_PATIENCE):
                async with connect(self._url) as store:
                    await store.backend.peek(id)
        except (BackendError, TimeoutError) as error:
            self.reason = str(error) or f"no answer within {_PATIENCE} s"
            return False
        with anyio.move_on_after(_PATIENCE), suppress(Exception):
            async with connect(self._url) as store:
                try:
                    await store.backend.settle(id, Resolved(_LARGE))
                    await store.backend.dispose(id)
                except (BackendUnavailableError, OutcomeUnknownError) as error:
                    self.reason = str(error)
                    return False
        return True


_PATIENCE: Final = 15
"""Seconds for a store to say that it is there: more than clients try again for."""

_LARGE: Final = b'"%b"' % (b"x" * 256 * 1024)
"""A value for which there is no room any more on a disk that is nearly full."""


def _open(url: str) -> Backend:
    return connect(url).backend
