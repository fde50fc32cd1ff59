"""``%load_ext dp_core.notebook`` in a real kernel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import psutil

import dp_core as dp
from support.notebook.kernels import Notebook, gone

START = """
from dp_core.notebook import Fleet
fleet = Fleet("alice", "bob")
await fleet.start()
print(*fleet.pids.values())
"""


async def fleet_pids(notebook: Notebook) -> list[int]:
    """Start alice and bob in the notebook; return their pids."""
    cell = await notebook.run(START)
    return [int(word) for word in cell.text.split("\n")[-2].split()]


async def test_stop_interrupts_an_awaiting_cell(
    notebook: Notebook, store: str, id: str
) -> None:
    """
    The Stop button ends ``await promise`` in one sentence.

    The promise is untouched, and the kernel runs the next cell.
    """
    await notebook.run("import asyncio; promise = dp.durable_promise(" + repr(id) + ")")
    task, cell = await notebook.run_until("await promise", f"waits for '{id}'")

    notebook.press_stop()
    await task

    assert cell.error.startswith("CancelledError")
    assert (
        "Stopped. No promise was changed by that; run the cell again."
    ) == cell.traceback
    assert dp.Pending() == await dp.durable_promise(id, store).peek()
    assert "'healthy'\n" == (await notebook.run("'healthy'")).text


async def test_stop_wakes_a_loop_that_sleeps(notebook: Notebook) -> None:
    """
    Stop also ends a cell that awaits anything else, with nothing to wake it.

    ipykernel alone would take until something else wakes its loop.
    """
    # Printed by the loop, so that the cell awaits by then.
    task, cell = await notebook.run_until(
        "import asyncio\n"
        "asyncio.get_running_loop().call_soon(print, 'now')\n"
        "await asyncio.sleep(3600)",
        "now",
    )

    notebook.press_stop()
    await task

    assert cell.error.startswith("CancelledError")


async def test_stop_works_without_await_too(notebook: Notebook) -> None:
    """A cell that computes gets its KeyboardInterrupt as ever."""
    # One long sleep would miss a signal that comes just before it begins.
    task, cell = await notebook.run_until(
        "import time\nprint('now', flush=True)\nwhile True:\n    time.sleep(0.1)",
        "now",
    )

    notebook.press_stop()
    await task

    assert cell.error.startswith("KeyboardInterrupt")


async def test_stop_reaches_the_process_that_runs_the_cell(
    notebook: Notebook, store: str, id: str
) -> None:
    """Stop on an ``%%on alice`` that awaits frees alice, and the promise is whole."""
    await fleet_pids(notebook)
    code = f"%%on alice\nimport dp_core as dp\nawait dp.durable_promise({id!r})"
    task, cell = await notebook.run_until(code, "who waits for")

    notebook.press_stop()
    await task

    assert cell.error.startswith("CancelledError")
    assert dp.Pending() == await dp.durable_promise(id, store).peek()
    assert "healthy" in (await notebook.run("%%on alice\n'healthy'")).text


async def test_on_runs_a_cell_in_a_process(notebook: Notebook) -> None:
    """``%%on alice`` runs the cell in alice, all of it, and labels what it says."""
    alice, bob = await fleet_pids(notebook)

    one = await notebook.run("%%on alice\nimport os\nprint(os.getpid())\n'a\"b'")
    both = await notebook.run("%%on all\nimport os\nprint(os.getpid())")
    named = await notebook.run("%%on bob alice\nprint('%%on bob')")

    assert f"alice {alice} │ {alice}\nalice {alice} │ 'a\"b'\n" == one.text
    assert [
        f"alice {alice} │ {alice}",
        f"bob   {bob} │ {bob}",
    ] == sorted(both.text.splitlines())
    assert [
        f"alice {alice} │ %%on bob",
        f"bob   {bob} │ %%on bob",
    ] == sorted(named.text.splitlines())


async def test_on_goes_on_in_the_background(notebook: Notebook, id: str) -> None:
    """``%%on alice &`` comes back when alice waits; her output comes when it comes."""
    alice, _ = await fleet_pids(notebook)
    await notebook.run(
        f"%%on all\nimport dp_core as dp\np = dp.durable_promise({id!r})"
    )

    waits = await notebook.run("%%on alice &\nprint('before')\nprint(await p)")
    await notebook.run("%%on bob\nwon = await p.resolve('by bob')")
    joined = await notebook.run("await fleet.join('alice')")

    assert (
        f"alice {alice} │ before\n"
        f"… alice ({alice}) waits for '{id}', in the background\n"
    ) == waits.text
    assert f"alice {alice} │ by bob\n" in joined.text
    assert "✔ alice" in joined.text


MISTAKES: Final = {
    "%%on carol\n1": "UnknownProcessError: there is no process 'carol'; running are",
    "%%on\n1": "%%on needs the name of a process: %%on alice",
    "1\n%%on alice": "UsageError: %%on must be in the first line of a cell",
    "%%on alice\n1 / 0": "ProcessFailedError: in process alice: ZeroDivisionError",
    "%%on alice\nawait q": "ProcessFailedError: in process alice: NameError",
}


async def test_what_goes_wrong_is_said(notebook: Notebook) -> None:
    """A mistake in or around ``%%on`` is an error of the cell, in a few lines."""
    await fleet_pids(notebook)

    for code, error in MISTAKES.items():
        cell = await notebook.run(code)
        assert error in cell.error + cell.text
        assert "site-packages" not in cell.traceback
        assert "_dp_on" not in cell.traceback


async def test_errors_show_the_readers_lines_alone(notebook: Notebook, id: str) -> None:
    """A traceback ends where the reader's code called us, and names no file."""
    cell = await notebook.run(
        f"promise = dp.durable_promise({id!r})\n"
        "await promise.reject('Oh dear')\nawait promise"
    )
    unreachable = await notebook.run(
        "await dp.durable_promise('x', 'file:/dev/null/promises').peek()"
    )

    assert "PromiseRejectedError: Oh dear" == cell.error
    assert "await" in cell.traceback
    for one in (cell, unreachable):
        assert one.error
        assert ".py" not in one.traceback


async def test_promises_asks_the_store(notebook: Notebook, store: str, id: str) -> None:
    """``%promises`` shows states, also those that no process of ours has settled."""
    await notebook.run(f"await dp.durable_promise({id!r}).peek()")
    async with dp.connect(store) as promises:
        promise = await promises.create(id, tags={"order": "17"})
        await promise.resolve("from outside", by="alice")

    known = await notebook.run("%promises")
    named = await notebook.run(f"%promises {id} {id}-other")

    for cell in (known, named):
        assert re.search(
            rf'✔ resolved +{id} +"from outside" +alice +- +- +- +order=17', cell.text
        )
    assert re.search(rf"○ pending +{id}-other", named.text)


async def test_a_promise_shows_itself(notebook: Notebook, id: str) -> None:
    """As the value of a cell it shows its last known state, in text and HTML."""
    unknown = await notebook.run(f"promise = dp.durable_promise({id!r})\npromise")
    cell = await notebook.run("await promise.resolve(1)\npromise")
    other = await notebook.run(f"dp.durable_promise({id!r})")
    ends = await notebook.run(
        "from datetime import UTC, datetime\n"
        "await dp.connect().create('a', deadline=datetime(9000, 1, 1, tzinfo=UTC))"
    )

    assert re.fullmatch(r".*'a' at file:.* until 9000-01-01 00:00:00 UTC\n", ends.text)
    assert unknown.text.startswith(f"? not asked yet  '{id}' at file:")
    assert re.fullmatch(rf"✔ resolved  '{id}' at file:.* = 1\n", cell.text)
    assert "resolved" in cell.html
    assert cell == other


async def test_a_promise_shows_itself_in_a_process(
    notebook: Notebook, store: str, id: str
) -> None:
    """A process shows what it knows itself, and asks nobody for it."""
    await fleet_pids(notebook)
    await dp.durable_promise(id, store).resolve(1)

    cell = await notebook.run(
        f"%%on alice\nimport dp_core as dp\np = dp.durable_promise({id!r})\np"
    )
    assert "? not asked yet" in cell.text
    cell = await notebook.run("%%on alice\nawait p.peek()\np")
    assert "✔ resolved" in cell.text
    assert "resolved" in cell.html


async def test_a_cell_that_waits_says_for_what(
    notebook: Notebook, store: str, id: str
) -> None:
    """An ``await`` that takes longer says what it waits for, and then how long."""
    task, cell = await notebook.run_until(
        f"await dp.durable_promise({id!r})", f"this cell waits for '{id}'"
    )
    await dp.durable_promise(id, store).resolve("late")
    await task

    assert "'late'" in cell.text
    [shown] = cell.shown.values()
    assert re.match(rf"waited .* s for '{id}'", shown["text/plain"])


async def test_a_cell_that_waits_for_many_says_so_in_one_line(
    notebook: Notebook, store: str, id: str
) -> None:
    """One line for all that `gather` waits for: the first by name, the rest counted."""
    task, cell = await notebook.run_until(
        f"many = [dp.durable_promise(f'{id}-{{n}}') for n in range(1200)]\n"
        "first, _ = await dp.race(*many)\nfirst.id",
        "this cell waits for",
    )
    [text] = [data["text/plain"] for data in cell.shown.values()] or [cell.text]
    await dp.durable_promise(f"{id}-7", store).resolve("seven")
    await task

    names = f"'{id}-0', '{id}-1', '{id}-2' and 1,197 more at "
    assert f"this cell waits for {names}" in text
    assert "leaves them as they are" in text
    assert f"'{id}-7'" in cell.text
    [shown] = cell.shown.values()
    assert re.match(rf"waited .* s for {names}", shown["text/plain"])


async def test_who_waits_for_many_in_the_background_says_so_once(
    notebook: Notebook, id: str
) -> None:
    """``%%on alice &`` names the first of her promises, and counts the rest."""
    alice, _ = await fleet_pids(notebook)

    waits = await notebook.run(
        f"%%on alice &\nimport dp_core as dp\n"
        f"many = [dp.durable_promise(f'{id}-{{n}}') for n in range(1200)]\n"
        "await dp.gather(*many, many[0])"
    )

    names = f"'{id}-0', '{id}-1', '{id}-2' and 1,197 more"
    assert f"… alice ({alice}) waits for {names}, in the background\n" == waits.text


async def test_under_trio(notebook: Notebook, store: str, id: str) -> None:
    """With ``%autoawait trio`` promises work, and ``%%on`` says what it needs."""
    await fleet_pids(notebook)
    await notebook.run("%autoawait trio")
    await dp.durable_promise(id, store).resolve("found")

    found = await notebook.run(f"await dp.durable_promise({id!r})")
    refused = await notebook.run("%%on alice\n1")

    assert "'found'\n" == found.text
    assert "run %autoawait asyncio before" in refused.error


async def test_trio_in_a_cell_does_not_warn(tmp_path: Path) -> None:
    """That signals wake the loop is nothing that trio needs to warn the reader of."""
    async with Notebook.open(tmp_path, {}) as fresh:
        # ipykernel 7 hides this warning by itself, ipykernel 6 does not.
        await fresh.run("import trio, warnings\nwarnings.resetwarnings()")
        await fresh.run("%load_ext dp_core.notebook")
        cell = await fresh.run(
            "with warnings.catch_warnings(record=True) as warned:\n"
            "    trio.run(trio.sleep, 0)\nwarned"
        )

    assert "[]\n" == cell.text


async def test_stop_under_trio(notebook: Notebook, store: str, id: str) -> None:
    """Stop interrupts a trio cell, and the promise is whole."""
    await notebook.run("%autoawait trio")
    code = f"print('now', flush=True)\nawait dp.durable_promise({id!r})"
    task, cell = await notebook.run_until(code, "now")

    notebook.press_stop()
    await task

    assert cell.error.startswith("KeyboardInterrupt")
    assert dp.Pending() == await dp.durable_promise(id, store).peek()


async def test_unloading_undoes_it(notebook: Notebook) -> None:
    """After ``%unload_ext`` nothing of it is left, and it can be loaded again."""
    await notebook.run("%unload_ext dp_core.notebook")

    gone_ = await notebook.run("%promises")
    assert "not found" in gone_.text
    shown = await notebook.run("promise = dp.durable_promise('x')\npromise")
    assert "<DurablePromise 'x' at " in shown.text
    assert "" == shown.html
    await notebook.run("await promise.peek()")

    await notebook.run("%load_ext dp_core.notebook")
    assert "Nothing has happened" in (await notebook.run("%promises")).text
    await notebook.run("await promise.peek()")
    assert "○ pending  'x'" in (await notebook.run("promise")).text


async def test_loading_is_silent(tmp_path: Path) -> None:
    """Loading prints nothing and warns of nothing."""
    async with Notebook.open(tmp_path, {"PYTHONWARNINGS": "always"}) as fresh:
        cell = await fresh.run("%load_ext dp_core.notebook")

    assert "" == cell.text + cell.html + cell.error


async def test_a_restart_of_the_notebook_leaves_no_processes(
    notebook: Notebook,
) -> None:
    """When a front end restarts the notebook's kernel, its processes end."""
    pids = await fleet_pids(notebook)
    assert all(map(psutil.pid_exists, pids))

    await notebook.manager.restart_kernel(now=True)

    assert gone(pids)
