"""Answers that are made once for many: each is made after all who get it have asked."""

from __future__ import annotations

import anyio
import pytest

from dp_core.server._answering import _shared
from dp_core.server._answering._shared import SharedAnswers


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only those wait who come while one is made."""
    monkeypatch.setattr(_shared, "PAUSE", 0.0)


class Maker:
    """Makes answers, each a number, when it is told to."""

    def __init__(self) -> None:
        self.made = 0
        self.begun = anyio.Event()
        self.go_on = anyio.Event()
        self.fail = False

    async def make(self) -> int:
        self.made += 1
        number = self.made
        self.begun.set()
        await self.go_on.wait()
        if self.fail:
            raise ValueError(number)
        return number


async def test_who_comes_while_one_is_made_shares_the_next() -> None:
    """Nobody gets an answer that was begun before they asked; one is enough for all."""
    shared: SharedAnswers[int] = SharedAnswers()
    maker, got = Maker(), []

    async def ask() -> None:
        got.append(await shared.answer("kind", maker.make))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await maker.begun.wait()
            for _ in range(10):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            maker.go_on.set()

    assert [1, *[2] * 10] == got
    assert {} == shared._groups


async def test_kinds_do_not_wait_for_each_other() -> None:
    """Nor do they share."""
    shared: SharedAnswers[int] = SharedAnswers()
    maker, other = Maker(), Maker()
    other.go_on.set()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shared.answer, "one", maker.make)
            await maker.begun.wait()
            assert 1 == await shared.answer("other", other.make)
            maker.go_on.set()


async def test_a_failure_is_everybodys_and_a_departure_nobodys() -> None:
    """Who leaves while their answer is made leaves the others to one of them."""
    shared: SharedAnswers[int] = SharedAnswers()
    maker, got = Maker(), []

    async def ask() -> None:
        try:
            got.append(await shared.answer("kind", maker.make))
        except ValueError as error:
            got.append(error.args[0])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as first:
                first.start_soon(ask)
                await maker.begun.wait()
                tasks.start_soon(ask)
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                first.cancel_scope.cancel()
            maker.fail = True
            maker.go_on.set()

    assert [2, 2] == got


async def test_of_very_many_kinds_not_all_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever asks for ever new things costs no memory, and gets answers."""
    monkeypatch.setattr(_shared, "_MOST_KINDS", 3)
    shared: SharedAnswers[int] = SharedAnswers()

    async def make() -> int:
        return 1

    for kind in range(10):
        assert 1 == await shared.answer(kind, make)

    assert len(shared._made_at) <= 3
