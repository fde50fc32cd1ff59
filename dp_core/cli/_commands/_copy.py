"""`copy`: the command that copies promises from one store to another."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import BinaryIO, Final

import anyio
import click

from dp_core._client import Promises, connect
from dp_core._errors import (
    BackendUnavailableError,
    CodecError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidTermsError,
    NotSupportedError,
    ProtocolError,
)
from dp_core._ids import check_id
from dp_core._outbox import create_with_callbacks, without_deliveries
from dp_core._registry import info_of, registry_of
from dp_core._states import Pending, Resolved
from dp_core._terms import PromiseInfo, Query, Terms
from dp_core._text import quoted, without_password
from dp_core.backend import MadeOnUse
from dp_core.cli._commands._asking import checked_info, comparable, for_each
from dp_core.cli._examples import examples
from dp_core.cli._input import read_ids
from dp_core.cli._output import complain, complain_once, say
from dp_core.cli._status import Status

__all__ = ["copy"]

AT_ONCE: Final = 32
"""The number of promises under way at once, for stores where one takes long."""

_NAMED: Final = 1000
"""The number of promises of a kind that are named at the end: those left behind."""

_CONCERNS_ONE: Final = (
    CodecError,
    CorruptPromiseError,
    InvalidPromiseIdError,
    InvalidTermsError,
    NotSupportedError,
    ProtocolError,
)
"""Errors about one promise: the others can be copied all the same."""


@click.command(
    epilog=examples(
        "dp copy file:./promises sqlite:./promises.db",
        "dp copy file:./promises file:./some --ids ids.txt",
    ),
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--ids",
    type=click.File("rb"),
    metavar="FILE",
    help="Copy these, one id a line, as plain text or a JSON string; - for stdin.",
)
@click.option("--after", metavar="ID", help="Go on after this one.")
def copy(source: str, target: str, ids: BinaryIO | None, after: str | None) -> Status:
    """
    Copy promises from the store FROM to the store TO.

    Outcomes and terms are copied. What is in TO stays as it is, so repeating a copy
    does no harm. A promise with another outcome, or other terms, there is
    reported. One that is damaged, or that TO cannot take, is left out, and named at
    the end. Either makes the exit code 1. One of --ids that is neither created nor
    settled in FROM is named, too: it may be pending, or misspelt. Waiters do not move:
    point them to TO.
    Times of creating and settling are those of the copy, so promises that are copied
    together may be listed in another order, and what a deadline has settled is an
    outcome like any other there. What is pending takes its callbacks along; those of
    what is settled stay with the server of FROM.

    Where FROM cannot list its promises, as Restate cannot, name the ids.
    """
    progress = _Progress(after)
    named = None if ids is None else _after(read_ids(ids), after)
    try:
        anyio.run(partial(_copy, source, target, named, progress))
    except (DurablePromiseError, KeyboardInterrupt):
        progress.say_failures()
        if progress.last is not None:
            complain(
                f"dp: to go on from here, add: --after {shlex.quote(progress.last)}"
            )
        raise
    progress.say_failures()
    promises = f"{progress.copied:,} promises of {without_password(source)}"
    say(f"{promises} are in {without_password(target)}")
    if progress.without_terms:
        complain(
            f"dp: {progress.without_terms:,} of them have no terms there: that store "
            "keeps outcomes only"
        )
    return Status.RESOLVED if progress.is_whole else Status.REJECTED


@dataclass
class _LeftBehind:
    """The promises that were not copied, of one kind: the first are named."""

    title: str
    count: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, id: str, reason: str = "") -> None:
        """Count one; not by its error, which may hold it."""
        self.count += 1
        if len(self.lines) < _NAMED:
            self.lines.append(f"{quoted(id, 200)}{reason}")

    def say(self) -> None:
        """Name those that were not copied."""
        if self.count:
            complain(f"dp: {self.count:,} {self.title}:")
        for line in self.lines:
            complain_once(line)
        if self.count > len(self.lines):
            complain(f"dp: and {self.count - len(self.lines):,} more")


@dataclass
class _Progress:
    """Progress: everything up to and including *last* was copied, or has failed."""

    last: str | None
    copied: int = 0
    different: int = 0
    without_terms: int = 0
    failed: _LeftBehind = field(
        default_factory=partial(_LeftBehind, "promises could not be copied")
    )
    unknown: _LeftBehind = field(
        default_factory=partial(
            _LeftBehind, "of --ids are neither created nor settled in FROM"
        )
    )

    @property
    def is_whole(self) -> bool:
        """Whether all was copied, and nothing else was there before."""
        # What is neither created nor settled is pending, and has nothing to copy.
        return not (self.different or self.without_terms or self.failed.count)

    def fail(self, id: str, reason: str) -> None:
        """Count one that could not be copied."""
        self.failed.add(id, f": {reason}")

    def say_failures(self) -> None:
        """Name those that were not copied."""
        self.failed.say()
        self.unknown.say()


async def _copy(
    source: str, target: str, ids: Iterator[str] | None, progress: _Progress
) -> None:
    async with connect(source) as here, connect(target) as there:
        if isinstance(here.backend, MadeOnUse) and not await here.backend.is_made():
            raise BackendUnavailableError(
                f"there is no store at {quoted(without_password(source), 200)}; is the "
                "URL right?"
            )
        copy_one = partial(_copy_one, there, progress)
        if ids is not None:
            copy_named = partial(_look, here, copy_one, progress)
            while batch := list(islice(ids, AT_ONCE)):
                await for_each(dict.fromkeys(batch), copy_named)
                progress.last = batch[-1]
            return
        try:
            await _copy_all(here, copy_one, progress)
        except NotSupportedError as error:
            raise NotSupportedError(
                f"{error.reason}; name the promises to copy with --ids"
            ) from None


_CopyOne = Callable[[PromiseInfo[bytes]], Awaitable[None]]


async def _copy_all(here: Promises, copy_one: _CopyOne, progress: _Progress) -> None:
    registry = registry_of(here.backend, here.url)
    query = Query()
    after: str | None = None
    if progress.last is not None:
        after = (await registry.info(progress.last)).cursor
        if after is None:
            where = without_password(here.url)
            raise click.BadParameter(
                f"--after {quoted(progress.last)} is not in {where}"
            )
    while True:
        page = await registry.list(query, after, AT_ONCE)
        for id, error in page.failures:
            progress.fail(id, str(error))
        await for_each(without_deliveries(query, page).infos, copy_one)
        if page.infos:
            progress.last = page.infos[-1].id
        if page.after is None:
            return
        after = page.after


async def _look(
    here: Promises, copy_one: _CopyOne, progress: _Progress, id: str
) -> None:
    try:
        check_id(id)
        info = await info_of(here.backend, id)
    except _CONCERNS_ONE as error:
        progress.fail(id, str(error))
    else:
        if info.terms is None and isinstance(info.state, Pending):
            progress.unknown.add(id)
        else:
            await copy_one(info)


async def _copy_one(
    there: Promises, progress: _Progress, info: PromiseInfo[bytes]
) -> None:
    try:
        checked_info(info)
        # First the outcome: the deadline of what is settled means nothing.
        is_same = await _settle(there, info) and await _create(there, progress, info)
    except _CONCERNS_ONE as error:
        progress.fail(info.id, str(error))
        return
    progress.copied += 1
    if not is_same:
        progress.different += 1
        complain(
            f"dp: {quoted(info.id)} has another outcome, or other terms, in "
            f"{without_password(there.url)}"
        )


async def _settle(there: Promises, info: PromiseInfo[bytes]) -> bool:
    """Copy an outcome, if there is one; return whether it is that there."""
    if isinstance(info.state, Pending):
        return True
    won = await there.backend.settle(info.id, info.state)
    return comparable(won) == comparable(info.state)


async def _create(
    there: Promises, progress: _Progress, info: PromiseInfo[bytes]
) -> bool:
    """Copy terms, if there are some; return whether they are those there."""
    if info.terms is None:
        return True
    try:
        registry = registry_of(there.backend, there.url)
        terms = info.terms
        if not isinstance(info.state, Pending):
            terms = replace(terms, notify=())
        first = await create_with_callbacks(there.backend, registry, info.id, terms)
    except NotSupportedError:
        if isinstance(info.state, Pending):
            raise
        progress.without_terms += 1
        return True
    return _comparable_terms(first) == _comparable_terms(info.terms)


def _comparable_terms(terms: Terms[bytes]) -> Terms[bytes]:
    """Return *terms* with its values in one spelling."""
    otherwise, data = terms.otherwise, terms.data
    return replace(
        terms,
        # Those of what is settled are not copied.
        notify=(),
        otherwise=None if otherwise is None else comparable(otherwise),
        data=None if data is None else comparable(Resolved(data)),
    )


def _after(ids: Iterator[str], after: str | None) -> Iterator[str]:
    """Yield the ids after one of them; all of them without it."""
    if after is not None and after not in ids:  # It takes those before, and this one.
        raise click.BadParameter(f"--after {quoted(after)} is none of --ids")
    yield from ids
