"""`check_backend`: one awaitable that judges a backend by all laws."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import SystemRandom

from dp_core.testing.kit import (
    ConformanceError,
    ConformanceRun,
    Effort,
    IsThere,
    Judge,
    Law,
    OpenBackend,
    Outage,
    Progress,
    Report,
    check_names,
)
from dp_core.testing.laws import LAWS

__all__ = ["check_backend"]


async def check_backend(  # noqa: PLR0913 - all but the first have a name
    open_backend: OpenBackend,
    *,
    durable: bool,
    shared: bool,
    skip: Collection[str] = (),
    laws: Iterable[Law] | None = None,
    effort: Effort | None = None,
    seed: int | None = None,
    outage: Outage | None = None,
    is_there: IsThere | None = None,
    own_process: bool = False,
    progress: Progress | None = None,
) -> Report:
    """
    Try every law on a store, and report which it breaks.

    Needs no pytest and runs on asyncio and trio. It never hangs: every call
    has a bound, one that ignores its cancellation is taken off the loop, and
    in the main thread one that blocks the loop is broken off.

    Args:
        open_backend: Opens another handle on the same, initially empty store;
            a plain function or an async one.
        durable: Whether what was acknowledged is there after all handles were
            closed and opened again.
        shared: Whether two handles see each other.
        skip: Names of laws to leave out; the report says so.
        laws: The laws to try; by default all of `LAWS`.
        effort: The amount of work; by default it takes some seconds.
        seed: The seed of an earlier run, to repeat its random choices.
        outage: Makes the store fail for a while, for the law that needs it; see
            `Outage`.
        own_process: Whether this process is there for the laws alone. Then one of
            them may use up all its files for a moment, which others in it may not
            survive: a Jupyter kernel, for one.
        is_there: Asked when a law is broken; a store that is gone is not judged.
        progress: Told before each law its number, how many there are, and its name.
            One that is tried once more, at the end, counts twice.

    Returns:
        The report, where every law holds.

    Raises:
        ConformanceError: The backend breaks laws; each is named, with the
            shortest history that shows it.
        StoreGoneError: The store is not there any more, as *is_there* tells.
        ValueError: *skip* names a law that does not exist.
    """
    effort = effort or Effort()
    chosen = list(LAWS.values() if laws is None else laws)
    check_names(skip, (law.name for law in chosen))
    if seed is None:
        seed = SystemRandom().getrandbits(32)
    run = ConformanceRun(
        open_backend,
        durable,
        shared,
        seed,
        effort,
        effort.patience,
        outage=outage,
        own_process=own_process,
    )
    judge = Judge(run, skip, is_there=is_there, progress=progress)
    await judge.try_all(chosen)
    report = judge.report()
    if report.violations:
        raise ConformanceError(report)
    return report
