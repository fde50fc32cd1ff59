# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The same in a trio world
#
# [← Signals between systems](07_signals_between_systems.ipynb) · [all pages](00_start_here.ipynb) · [next: Deadlines and late answers →](in_practice/09_deadlines.ipynb)
#
# Everything so far ran on asyncio, the event loop of Jupyter. The library runs on
# *trio* as well, with the same code. On this page the cells themselves are trio:
# `%autoawait trio` runs each cell that awaits in a `trio.run` of its own.
#
# You will see nurseries and cancel scopes around promises, and then a trio process and
# an asyncio process that talk to each other through a promise.

# %%
# %load_ext dp_core.notebook
# %scratch
import secrets
import sys

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check

try:
    import trio
except ModuleNotFoundError:
    raise SystemExit("this notebook needs trio: pip install trio") from None

RUN = secrets.token_hex(3)

# %% [markdown]
# First the processes, because they are driven from asyncio.

# %%
fleet = Fleet("alice", "bob")
await fleet.start()

# %% [markdown]
# From here on, cells are trio:

# %%
# %autoawait trio

# %%
print("this cell runs in trio:", trio.lowlevel.in_trio_run())
promise = dp.durable_promise(f"trio-{RUN}")
print(await promise.peek())
promise

# %% [markdown]
# ## A nursery full of waiters
#
# Five tasks wait for one promise, and a sixth resolves it. The nursery ends when all
# have ended; no task is left behind, whatever happens. The cell below does this twenty
# times, and notes how many waiters had ended before the resolver.

# %%
order = Question(
    "In what order do the waiters and the resolver end?",
    resolver="the resolver is always the first",
    waiters="the resolver is always the last",
    any="it differs from one time to the next",
)
order

# %%
# %predict order


# %% tags=["varies"]
async def wait_for(promise, name, ended):
    assert await promise == "hello trio"
    ended.append(name)


async def settle(promise, ended):
    await trio.sleep(0.02)
    await promise.resolve("hello trio")
    ended.append("resolver")


async def once(number):
    promise, ended = dp.durable_promise(f"nursery-{number}-{RUN}"), []
    async with trio.open_nursery() as nursery:
        for waiter in range(5):
            nursery.start_soon(wait_for, promise, f"waiter {waiter}", ended)
        nursery.start_soon(settle, promise, ended)
    return ended


runs = [await once(number) for number in range(20)]
places = [ended.index("resolver") for ended in runs]
print("waiters that had ended before the resolver:", *places)
order.compare(
    resolver=set(places) == {0},
    waiters=set(places) == {5},
    any=len(set(places)) > 1,
)

# %% [markdown]
# **What happened.** Everybody is told as soon as the value is durable, and nobody is
# told before. Who of them runs first after that is promised to nobody: it is up to the
# disk, the kernel and the scheduler (trio even shuffles its tasks on purpose). Another
# store or another machine may give you another row of numbers.

# %% [markdown]
# ## Cancel scopes
#
# In trio, time-outs are scopes. A scope around a wait gives up the *wait*, not the
# promise.

# %%
scoped = Question(
    "move_on_after(0.2) ends a wait. What is the promise afterwards?",
    pending="pending, as before",
    rejected="rejected with a time-out",
    disposed="disposed of",
)
scoped

# %%
# %predict scoped

# %%
patient = dp.durable_promise(f"patient-{RUN}")
with trio.move_on_after(0.2) as scope:
    await patient
print("gave up:", scope.cancelled_caught)
after_scope = await patient.peek()
print(after_scope)
scoped.compare(
    pending=after_scope == dp.Pending(), rejected=isinstance(after_scope, dp.Rejected)
)

# %% [markdown]
# The same with the library's own words, `get(timeout=…)`, which raises an error that
# tells what happened:

# %%
try:
    await patient.get(timeout=0.2)
except dp.PromiseTimeoutError as error:
    print(error)

# %% [markdown]
# ## Another program resolves it
#
# While one task waits, another one runs a program: the command line of the library, in
# a process of its own.


# %%
async def resolve_from_a_program():
    await trio.run_process(
        [sys.executable, "-m", "dp_core", "resolve", patient.id, "from a program"],
        capture_stdout=True,
    )


async with trio.open_nursery() as nursery:
    nursery.start_soon(resolve_from_a_program)
    print("got:", await patient)

# %% [markdown]
# ## A trio process meets an asyncio process
#
# Back to asyncio in this notebook, to drive the two processes. alice switches to trio;
# bob stays on asyncio.

# %%
# %autoawait asyncio

# %%
MEETING = f"meeting-{RUN}"

# %%
# %%on alice
# %autoawait trio

# %%
# %%on all --with MEETING
import dp_core as dp

promise = dp.durable_promise(MEETING)

# %%
# %%on alice &
import trio

with trio.fail_after(60):
    value = await promise
print("trio got:", value, "- in trio:", trio.lowlevel.in_trio_run())

# %%
# %%on bob
import asyncio

won = await promise.resolve("from asyncio")
print("asyncio is told:", won, "- on", type(asyncio.get_running_loop()).__name__)

# %%
joined = await fleet.join("alice")

# %%
# %lanes {MEETING}

# %% [markdown]
# **What happened.** The two event loops know nothing of each other. What they share is
# a file. A promise does not belong to an event loop, so it can be awaited in one and
# resolved in another, as it can in another process or another language.

# %% [markdown]
# ## Check

# %%
everybody = ["resolver", *(f"waiter {n}" for n in range(5))]
assert all(sorted(ended) == everybody for ended in runs)
assert scope.cancelled_caught
assert after_scope == dp.Pending()
assert await patient == "from a program"
assert joined["alice"].text.startswith("trio got: from asyncio")
assert await dp.durable_promise(MEETING).peek() == dp.Resolved("from asyncio")
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** A nursery has two tasks: one awaits a promise, the other raises an error. What
# becomes of the waiting task: `"cancelled"`, `"goes on"` or `"gets the error"`?
#
# <details><summary>Hint</summary>A nursery cancels its other tasks when one fails. The
# promise does not notice.</details>

# %%
answer_1 = ...
check(answer_1, Sealed("one.71f4.34793cf5.e6f572dd"), "That is what nurseries are for.")

# %% [markdown]
# **2.** Write `value_or(promise, seconds, default)` for trio: it returns the value, or
# *default* if the promise is not settled in time.
#
# <details><summary>Hint</summary><code>with trio.move_on_after(seconds): return await
# promise</code>, and after the block <code>return default</code>.</details>


# %%
# %autoawait trio


# %%
async def value_or(promise, seconds, default): ...


found = [
    await value_or(dp.durable_promise(f"never-{RUN}"), 0.1, "default"),
    await value_or(patient, 5, "default"),
]
check(
    found,
    Sealed("row.1a26.bff16529.95b99ff5"),
    "The second promise is settled already.",
)

# %% [markdown]
# **3.** Press Stop on this cell while it waits (remove the `#` first). Which error do
# you get on trio, `"KeyboardInterrupt"` or `"CancelledError"`?
#
# <details><summary>Hint</summary>trio turns Ctrl-C into the error that Python itself
# uses for it.</details>

# %%
# await dp.durable_promise("nobody-resolves-this")
answer_3 = ...
check(answer_3, Sealed("one.5e7c.06ebfc20"), "Try it.")

# %% [markdown]
# [← Signals between systems](07_signals_between_systems.ipynb) · [all pages](00_start_here.ipynb) · [next: Deadlines and late answers →](in_practice/09_deadlines.ipynb)
