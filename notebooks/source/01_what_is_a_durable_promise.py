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
# # What is a durable promise?
#
# [← Start here](00_start_here.ipynb) · [next: Example 1 →](02_example1.ipynb)
#
# A *promise* (Python says *future*) stands for a value that is not there yet.
# Somebody awaits it; somebody else sets it, once.
#
# A **durable promise** is the same thing with a different home. A future lives in
# the memory of one process and dies with it. A durable promise lives in a *store*,
# under a name, and outlives every process that ever touched it.
#
# In this notebook you
#
# 1. see a future die with its process,
# 2. do the same with a durable promise, and see it live,
# 3. draw the state machine from the table that the library runs,
# 4. find out why "no value yet" and "the value is null" are two things.
#
# Each section asks you for a **prediction**, runs something, and then compares. Write one
# of the words behind `%predict` before you go on.
#
# The outputs below are of a real run, and they give the answers away. If you want to
# predict honestly, clear them first: *Edit → Clear Outputs of All Cells*.

# %%
# %load_ext dp_core.notebook
# %scratch
import secrets
from pathlib import Path

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check, state_diagram

RUN = secrets.token_hex(3)  # ids of this run; run the notebook again, get new ones
STORE = "file:./promises"

# %% [markdown]
# ## 1. A future lives in one process
#
# `alice` is a process of her own: a Jupyter kernel with her own pid. A cell that
# begins with `%%on alice` runs in her, not here.

# %%
alone = Fleet("alice")
await alone.start()

# %%
# %%on alice
import asyncio
import os

future = asyncio.get_running_loop().create_future()
future.set_result("hello from the future")
print("I am process", os.getpid(), "and my future has the value:", await future)

# %% [markdown]
# Now the process dies, the hard way: `kill -9`. Then it is started again.

# %%
future_dies = Question(
    "What does `await future` give in the new process?",
    value="'hello from the future'",
    error="an error: there is no future any more",
    waits="it waits for ever",
)
future_dies

# %%
# %predict future_dies

# %%
pid_before = alone.pids["alice"]
await alone.kill("alice")
await alone.restart("alice")

# %%
# %%on alice --no-raise-error --out result
await future

# %%
print(result)
future_dies.compare(
    value="hello from the future" in result.value,
    error=result.error.startswith("NameError"),
)

# %% [markdown]
# **What happened.** The future was an object in the memory of the first process.
# The new process is really another one: compare the two pids below. Memory does not
# survive `kill -9`, so neither did the future. Had another process waited for it,
# it would wait in vain.

# %%
print("alice was process", pid_before, "and is now process", alone.pids["alice"])
assert pid_before != alone.pids["alice"]
assert result.error.startswith("NameError")

# %% [markdown]
# ## 2. The same with a store
#
# `durable_promise(id, url)` returns a handle. The *id* says which promise, the
# *store URL* says where it lives; here it is a directory, in the directory of this page.
# Making a handle asks nothing and sends nothing, so it cannot know the state yet:

# %%
GREETING = f"greeting-{RUN}"
promise = dp.durable_promise(GREETING, STORE)
promise

# %% [markdown]
# `peek` asks the store and never waits.

# %%
state = await promise.peek()
print(state)
promise

# %% [markdown]
# `alice` resolves it. Then she is killed again. `--with` sends her two variables of this page, as JSON.

# %%
# %%on alice --with GREETING STORE
import dp_core as dp

won = await dp.durable_promise(GREETING, STORE).resolve("hello from a dead process")
print(won)

# %%
killed = Question(
    "alice is killed with -9. What does `await promise` give, here in the notebook?",
    value="'hello from a dead process'",
    error="PromiseRejectedError, because the process that resolved it is gone",
    waits="it waits until alice is back",
)
killed

# %%
# %predict killed

# %%
await alone.kill("alice")
try:
    value = await promise.get(timeout=10)
except dp.DurablePromiseError as error:
    value = error
print(value)
killed.compare(
    value=value == "hello from a dead process",
    error=isinstance(value, dp.PromiseRejectedError),
    waits=isinstance(value, dp.PromiseTimeoutError),
)

# %% [markdown]
# **What happened.** `resolve` returned to alice only after the value was on disk
# (written, flushed with `fsync`, published under its final name with `link`, and the
# directory flushed too). From then on no crash can take it back.
#
# The store is nothing secret. One promise is one file, and you can read it:

# %%
record = max(Path("promises").rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)
print(record.read_text())

# %% [markdown]
# ## 3. The state machine
#
# A durable promise is a *write-once register*. Everything about how it may change is
# one table, `dp_core.TRANSITIONS`; the picture is drawn from that table, now, so it
# cannot be out of date.

# %%
state_diagram()

# %% [markdown]
# `transition(state, command)` looks it up. It is a pure function: no disk, no clock.

# %%
pending = dp.Pending()
resolved = dp.transition(pending, dp.Resolve("yes"))
print(resolved)

# %%
too_late = Question(
    "It is resolved with 'yes'. Somebody rejects it with 'no'. What is it now?",
    rejected="Rejected('no'): the last word counts",
    resolved="Resolved('yes'): the first word counts",
    error="an error is raised",
)
too_late

# %%
# %predict too_late

# %%
late = dp.transition(resolved, dp.Reject("no"))
print(late)
too_late.compare(
    rejected=isinstance(late, dp.Rejected), resolved=isinstance(late, dp.Resolved)
)

# %% [markdown]
# **What happened.** `Resolved` and `Rejected` are *absorbing*: in the picture, their
# arrows for Resolve and Reject lead back to themselves. The one who comes too late is
# told the outcome, and nothing changes. That is what makes it safe to say everything
# twice: whoever does not know whether a message arrived sends it again.
#
# The only way out is *Dispose*: it forgets the promise, and the id starts afresh.

# %%
for before in (dp.Pending(), dp.Resolved("yes"), dp.Rejected("no")):
    for command in (dp.Resolve("other"), dp.Reject("other"), dp.Dispose()):
        after = dp.transition(before, command)
        print(f"{before!s:24} {command!s:24} -> {after}")

# %% [markdown]
# ## 4. Null is not pending
#
# A promise may be resolved with `None` (`null` in JSON). Many systems then confuse
# "the value is null" with "there is no value yet".

# %%
null = Question(
    "A promise is resolved with None. What does peek() return?",
    pending="Pending()",
    none="None",
    resolved="Resolved(value=None)",
)
null

# %%
# %predict null

# %%
nothing = dp.durable_promise(f"nothing-{RUN}", STORE)
await nothing.resolve(None)
seen = await nothing.peek()
print(seen)
null.compare(
    pending=seen == dp.Pending(), none=seen is None, resolved=seen == dp.Resolved(None)
)

# %% [markdown]
# **What happened.** A state is an object of one of three classes, and the value is
# inside. `Pending()` has no value; `Resolved(None)` has one, and it is None. So
# `match` tells all cases apart, also for `False`, `0`, `""` and `[]`:

# %%
for i, value in enumerate([None, False, 0, "", []]):
    one = dp.durable_promise(f"empty-{i}-{RUN}", STORE)
    before = await one.peek()
    await one.resolve(value)
    match await one.peek():
        case dp.Pending():
            print("pending")
        case dp.Resolved(found):
            print(f"{before} -> resolved with {found!r}")
        case dp.Rejected(error):
            print("rejected:", error)

# %% [markdown]
# ## Check
#
# What you have seen, as assertions.

# %%
assert await dp.durable_promise(GREETING, STORE).peek() == dp.Resolved(
    "hello from a dead process"
)
assert dp.transition(dp.Resolved(1), dp.Reject("no")) == dp.Resolved(1)
assert dp.transition(dp.Resolved(1), dp.Dispose()) == dp.Pending()
assert await nothing.peek() == dp.Resolved(None) != dp.Pending()
await alone.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** Which commands lead from `Pending` to `Pending`? Replace the dots by a set of
# names, for example `{"Resolve", "Reject"}`.
#
# <details><summary>Hint</summary>Look at the arrow that leaves "Pending" and comes back
# to it. Or ask the table: <code>dp.TRANSITIONS[dp.Pending]</code>.</details>

# %%
answer_1 = ...
check(
    answer_1, Sealed("set.f89e.c92e2cb5"), "Follow the arrow that ends where it begins."
)

# %% [markdown]
# **2.** Write a function that tells a promise's age group: `"new"` for a pending one,
# `"done"` for a settled one. It must not be fooled by falsy values.
#
# <details><summary>Hint</summary>Do not test the value. Test the class of the state:
# <code>isinstance(state, dp.Pending)</code>.</details>


# %%
def age_group(state): ...


check(
    [age_group(s) for s in (dp.Pending(), dp.Resolved(None), dp.Resolved(0))],
    Sealed("row.1cc9.e877136f.dcb32af4.dcb32af4"),
    "They are tried with Pending(), Resolved(None) and Resolved(0).",
)

# %% [markdown]
# **3.** Resolve the promise `exercise-…` below so that `peek` shows the JSON value
# `{"answer": 42}`.
#
# <details><summary>Hint</summary>One line:
# <code>await exercise.resolve({"answer": 42})</code>.</details>

# %%
exercise = dp.durable_promise(f"exercise-{RUN}", STORE)

# Your line here.

state = await exercise.peek()
check(
    state.unwrap() if isinstance(state, dp.Resolved) else None,
    Sealed("map.cad6.e370e252-45dd61fb"),
    "It is settled for ever; choose a new id and try again.",
)

# %% [markdown]
# [← Start here](00_start_here.ipynb) · [next: Example 1 →](02_example1.ipynb)
