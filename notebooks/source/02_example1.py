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
# # Example 1: peek, await, resolve, reject
#
# [← What is a durable promise?](01_what_is_a_durable_promise.ipynb) · [all pages](00_start_here.ipynb) · [next: Example 2 →](03_example2.ipynb)
#
# This is the first example of the original system (Restate's *promise as a service*),
# cell by cell. As a script it is `examples/example1.py`, and prints four lines. The last
# one surprises most people. At the end you can explain it.
#
# The store is the one that `DP_URL` names; without it, a directory in the directory of
# this page. Everything here is the same on any store.

# %%
# %load_ext dp_core.notebook
# %scratch
import asyncio
import secrets

import dp_core as dp
from dp_core.notebook import Question, Sealed, check

ID = f"my-durable-promise-id-{secrets.token_hex(3)}"
promises = dp.connect()
print(promises)

# %% [markdown]
# ## A handle is not a promise
#
# The promise lives in the store. What you hold is a handle: an id and where to ask.
# Any number of handles, in any number of processes, mean the same promise.

# %%
promise = promises.promise(ID)
promise

# %% [markdown]
# ## Peek
#
# `peek` looks without waiting. Nobody has named this id before.

# %%
peeking = Question(
    "What does peek() say about an id that nobody has used before?",
    error="an error: there is no such promise",
    pending="Pending()",
    none="None",
)
peeking

# %%
# %predict peeking

# %%
peeked = await promise.peek()
print("Peeked value:", peeked)
peeking.compare(pending=peeked == dp.Pending(), none=peeked is None)

# %% [markdown]
# **What happened.** A promise exists as soon as it is named, and it is pending. Nobody
# needs to create it first, so nobody can come before the creation, and nobody has to
# agree on who does it.

# %% [markdown]
# ## Await
#
# `await promise` would keep this cell running until somebody settles the promise, and
# the next cell could not start. So we wait on the side, in a task, and go on.

# %%
result = asyncio.create_task(promise.get())
await asyncio.sleep(0.1)  # let the task begin
print("done:", result.done())

# %% [markdown]
# The board asks the store and shows who waits:

# %%
# %promises

# %% [markdown]
# ## Resolve
#
# `resolve` settles the promise with a value, *if it is the first*. It returns the
# outcome that stands, whoever set it.

# %%
won = await promise.resolve("This promise will notify everyone")
print("Result value:", await result)
print("Actual result after completing:", won.unwrap())

# %% [markdown]
# **What happened.** Two things came from one settle. The task from the cell before
# woke up with the value. And `resolve` returned our value as the outcome: we were
# first.

# %% [markdown]
# ## Reject, too late
#
# Now the same handle rejects the promise.

# %%
rejecting = Question(
    "What will the line `Actual result after rejection:` say?",
    rejected="Oh dear, rejected",
    resolved="This promise will notify everyone",
    error="nothing: reject() raises an error because the promise is settled already",
)
rejecting

# %%
# %predict rejecting

# %%
won = await promise.reject("Oh dear, rejected")
print("Actual result after rejection:", won.unwrap())
rejecting.compare(
    rejected=isinstance(won, dp.Rejected), resolved=isinstance(won, dp.Resolved)
)

# %% [markdown]
# **Why it prints what it prints.** The first settle wins, for ever. `reject` came
# second, so it changed nothing. It does not raise either: to be late is no failure, it
# is an answer. The answer is the *outcome*, and that is the resolution. So `won` is
# `Resolved(…)`, although you called `reject`.
#
# Why not an error? Think of a process that is killed after it has asked to settle,
# and before it learned what became of it. After its restart it sends it again. If the
# second attempt failed, every such process would need to find out whether it lost
# against another one or against itself. As it is, it asks for the outcome, and gets
# the same answer every time.

# %%
again = await promise.resolve("Something else")
print(again)
print(await promise)
print(await promise.peek())

# %% [markdown]
# ## A rejection that comes first
#
# A promise may end in an error as well. Then `get` raises, for everybody, for ever;
# `reject` itself does not, because it did what it was asked to do.

# %%
other = promises.promise(f"{ID}-other")
won = await other.reject("Oh dear, rejected")
print(won)
try:
    await other
except dp.PromiseRejectedError as error:
    print("get() raised:", error)
other

# %% [markdown]
# ## What really happened
#
# Every operation above was recorded when it happened. This is the lane of the
# notebook's own process; `A` and `B` are the two promises.

# %%
# %lanes

# %% [markdown]
# ## As the original prints it
#
# ```text
# Peeked value: null
# Result value: This promise will notify everyone
# Actual result after completing: This promise will notify everyone
# Actual result after rejection: This promise will notify everyone
# ```
#
# Three of the four lines are yours, too. The first is not: the original says `null` where
# the promise is pending, and leaves open whether it has the value null. You have met that
# [on the page before](01_what_is_a_durable_promise.ipynb): `Pending()` is no value.

# %% [markdown]
# ## Check

# %%
value = "This promise will notify everyone"
assert peeked == dp.Pending()
assert await result == value
assert await promise.peek() == dp.Resolved(value)
assert await promise.reject("no") == dp.Resolved(value)
assert await promise.resolve("no") == dp.Resolved(value)
assert await other.peek() == dp.Rejected("Oh dear, rejected")
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** A colleague writes this to find out whether *she* has settled the promise:
#
# ```python
# await promise.resolve(mine)
# i_was_first = True          # it did not raise, did it?
# ```
#
# Write `i_was_first(won, mine)` that tells it from what `resolve` returned.
#
# <details><summary>Hint</summary>Compare the outcome with what you asked for:
# <code>won == dp.Resolved(mine)</code>. (If two processes ask for the same value, both
# may say yes. That is why one puts a name into the value.)</details>


# %%
def i_was_first(won, mine): ...


tries = [
    i_was_first(dp.Resolved("a"), "a"),
    i_was_first(dp.Resolved("b"), "a"),
    i_was_first(dp.Rejected("a"), "a"),
]
check(
    tries,
    Sealed("row.a6c3.1cf48bf4.8d26b0ef.8d26b0ef"),
    "A rejection with the text 'a' is not a resolution with the value 'a'.",
)

# %% [markdown]
# **2.** `get` can give up: `await promise.get(timeout=0.2)` raises
# `PromiseTimeoutError`. What is the state of the promise after that: `"pending"`,
# `"rejected"` or `"disposed"`?
#
# <details><summary>Hint</summary>Try it with a fresh id and peek. A waiter that gives
# up changes nothing for the others.</details>

# %%
answer_2 = ...
check(
    answer_2, Sealed("one.029a.5e1809ad"), "Try it: promises.promise('some-fresh-id')."
)

# %% [markdown]
# **3.** Run this page a second time with the same id: leave out the cell that makes `ID`,
# and do not restart the kernel. Which of the four lines prints something else than in the
# first run: 1 (`Peeked value`), 2 (`Result value`), 3 or 4?
#
# <details><summary>Hint</summary>The promise is still there. Only one line asks for the
# state <em>before</em> the settle.</details>

# %%
answer_3 = ...
check(
    answer_3,
    Sealed("one.ec09.2c0294f1.6eae6833.c328c5f9.fe279000"),
    "Who has settled the promise when the second run begins?",
)

# %% [markdown]
# [← What is a durable promise?](01_what_is_a_durable_promise.ipynb) · [all pages](00_start_here.ipynb) · [next: Example 2 →](03_example2.ipynb)
