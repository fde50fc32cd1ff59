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
# # Example 2: processes that signal each other
#
# [← Example 1](02_example1.ipynb) · [all pages](00_start_here.ipynb) · [next: Example 3 →](04_example3.ipynb)
#
# In the original you start the same program several times, in different shells. By
# chance each run either resolves the promise or awaits it.
#
# Here the processes are kernels. Each has a name, a pid and a memory of its own, and
# all they share is a store and an id. You will see that
#
# * it does not matter who comes first,
# * neither needs to be alive when the other acts,
# * any number may wait, and all get the same value.

# %%
# %load_ext dp_core.notebook
# %scratch
import os
import random
import secrets

import dp_core as dp
from dp_core.notebook import JOURNAL, Fleet, Question, Sealed, check, watch

RUN = secrets.token_hex(3)
fleet = Fleet("alice", "bob")
await fleet.start()

# %%
# %%on all
import os

print("I am a process of my own:", os.getpid())

# %% [markdown]
# Three different numbers, this notebook's own included:

# %%
pids = {os.getpid(), *fleet.pids.values()}
print(pids)
assert len(pids) == 3

# %% [markdown]
# ## The listener comes first
#
# Both processes get the id of a promise: `--with` sends them variables of this page.

# %%
FIRST = f"listener-first-{RUN}"

# %%
# %%on all --with FIRST
import dp_core as dp

promise = dp.durable_promise(FIRST)

# %% [markdown]
# alice awaits. The `&` lets her do so in the background: the cell comes back as soon
# as she waits. What she says later, `fleet.join("alice")` shows.

# %%
# %%on alice &
print(os.getpid(), ": Awaiting ...")
result = await promise
print(os.getpid(), ": Got result =", result)

# %%
# %promises

# %%
waking = Question(
    "bob resolves the promise. What must alice do to learn of it?",
    nothing="nothing: her `await` returns by itself, with the value",
    ask="ask again: her `await` has looked once, and found nothing",
    connect="she must have connected to bob's process before",
)
waking

# %%
# %predict waking

# %%
# %%on bob
won = await promise.resolve(f"Completed by {os.getpid()}")
print(os.getpid(), ": actually resolved to", won.unwrap())

# %%
joined = await fleet.join("alice")
hers = [e.kind for e in JOURNAL.about(FIRST) if e.process == "alice" and e.id]
print("alice's steps:", hers)
waking.compare(nothing=hers == ["awaiting", "got"], ask=hers.count("awaiting") > 1)

# %% [markdown]
# **What happened.** bob does not know that alice exists. He wrote to the store. alice's
# library was watching the store for her, and woke her. (On the file store the kernel
# of the operating system reports the change; over HTTP the server holds her request.
# A timer is the net below both: a lost report costs time, never the value.)
#
# The dashed line from bob's dot to alice's is this wake-up. Read the times in
# "The same in words".

# %%
# %lanes

# %% [markdown]
# ## The settler comes first
#
# The other way round, with a new promise.

# %%
SECOND = f"settler-first-{RUN}"

# %%
# %%on bob --with SECOND
await dp.durable_promise(SECOND).resolve("nobody is listening")

# %%
early = Question(
    "bob resolved it before anybody waited. alice awaits it now. What does she get?",
    value="'nobody is listening', at once",
    waits="nothing: the signal is over, she waits for the next one",
    error="an error: the promise is settled already",
)
early

# %%
# %predict early

# %%
# %%on alice --with SECOND --no-raise-error --out heard
await dp.durable_promise(SECOND).get(timeout=10)

# %%
late = heard.error.startswith("PromiseTimeoutError")
early.compare(
    value=heard.value == "'nobody is listening'",
    waits=late,
    error=bool(heard.error) and not late,
)

# %% [markdown]
# **What happened.** A promise is not a signal that flies past, like a message on a
# channel or the notification of a condition variable. It is a *state* that one can ask
# for at any time. That is why the order does not matter.

# %% [markdown]
# ## Neither is alive when the other acts
#
# Now bob resolves a promise and is killed. Only then a new process is started, carol.
# The two are never alive at the same time.

# %%
THIRD = f"never-met-{RUN}"

# %%
# %%on bob --with THIRD
await dp.durable_promise(THIRD).resolve("from the past")

# %%
await fleet.kill("bob")
newcomer = Fleet("carol")
await newcomer.start()

# %%
# %%on carol --with THIRD --out result
import dp_core as dp

print(await dp.durable_promise(THIRD))

# %%
# %lanes

# %% [markdown]
# **What happened.** Look at the two lanes: bob's ends with the cross before carol's
# begins. The promise is what they have in common, and it was in the store all
# the time.

# %% [markdown]
# ## Several processes, by chance
#
# Now as in the original: five processes run the same code. Each throws a die: with
# probability 0.3 it resolves, else it awaits. The die gets a seed, so that you can
# replay this very run: put the printed number in place of `random_seed()`.
#
# If nobody happens to resolve, everybody waits for ever; that is no error, it is what
# they were told to do. So we look for a seed with which at least one resolves.

# %%
NAMES = ["ann", "ben", "cem", "dan", "eve"]


def draws(seed, name):
    """Tell whether a process will resolve: it computes the same."""
    return random.Random(f"{seed}-{name}").random() < 0.3


def random_seed():
    while True:
        seed = secrets.randbelow(1_000_000)
        if any(draws(seed, name) for name in NAMES):
            return seed


SEED = random_seed()
print("seed:", SEED)

# %%
team = Fleet(*NAMES)
await team.start()
TEAM = f"my-example-2-id-{RUN}"

# %%
many = Question(
    "Several may resolve, each with its own pid. How many different outcomes are seen?",
    each="one for each process that resolves",
    one="exactly one",
    timing="it depends on the timing",
)
many

# %%
# %predict many

# %% tags=["varies"]
watch(TEAM)

# %% tags=["varies"]
# %%on ann ben cem dan eve --with SEED TEAM
import os
import random

import dp_core as dp
from dp_core.notebook import process_name

pid, me = os.getpid(), process_name()
promise = dp.durable_promise(TEAM)
resolve = random.Random(f"{SEED}-{me}").random() < 0.3
print(f"{pid} will {'RESOLVE' if resolve else 'AWAIT'} the promise")

peeked = await promise.peek()
print(f"{pid} : Peek '{TEAM}' = {peeked}")

if resolve:
    won = await promise.resolve(f"Completed by {pid}")
    print(f"{pid} : '{TEAM}' actually resolved to '{won.unwrap()}'")
else:
    print(f"{pid} : Awaiting '{TEAM}'...")
    print(f"{pid} : Got result for '{TEAM}' = '{await promise}'")

# %%
outcomes = {e.text for e in JOURNAL.about(TEAM) if e.kind in ("got", "won", "refused")}
print(outcomes)
many.compare(one=len(outcomes) == 1, each=len(outcomes) > 1)

# %% [markdown]
# **What happened.** Everybody who awaited, and everybody who resolved, was told one and
# the same outcome. Where several resolved, one dot is filled; the others have the sign
# "too late, refused": they learned the outcome instead of overwriting it.

# %% [markdown]
# ## Check

# %%
assert len(outcomes) == 1
told = {e.process for e in JOURNAL.about(TEAM) if e.kind in ("got", "won", "refused")}
assert told == set(NAMES)
assert result.text == "from the past\n"
for name in (FIRST, SECOND, THIRD, TEAM):
    assert isinstance(await dp.durable_promise(name).peek(), dp.Resolved)
for one in (fleet, newcomer, team):
    await one.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** Which of these could replace the promise between alice and bob, and still work
# in all three orders above: `"pipe"`, `"file with the value, written in place"`,
# `"neither"`?
#
# <details><summary>Hint</summary>A pipe needs both ends at the same time. A file that
# is written in place can be read while it is half written, and a second writer
# overwrites the first.</details>

# %%
answer_1 = ...
check(
    answer_1,
    Sealed("one.b30b.47fc5ad7"),
    "Think of carol, and of a reader in the middle of a write.",
)

# %% [markdown]
# **2.** Find a seed with which **all five** processes resolve. How many of them are
# refused?
#
# <details><summary>Hint</summary>
# <code>next(s for s in range(100_000) if all(draws(s, n) for n in NAMES))</code>. Then
# put it in for <code>SEED</code>, give <code>TEAM</code> another end, run from there on, and
# count the signs.</details>

# %%
answer_2 = ...
check(
    answer_2,
    Sealed("one.2323.47df2e83.d4a13bdb"),
    "Count the signs “too late, refused” in the lanes.",
)

# %% [markdown]
# **3.** Write the code of a process that awaits a promise but gives up after two
# seconds, and then resolves it itself with `"timeout"`. It should return the outcome.
#
# <details><summary>Hint</summary><code>get(timeout=2)</code> raises
# <code>PromiseTimeoutError</code>. Whatever happens between the error and your own
# <code>resolve</code>: what does <code>resolve</code> return?</details>


# %%
async def value_or_timeout(promise): ...


attempt = await value_or_timeout(dp.durable_promise(f"slow-{RUN}"))
check(
    attempt,
    Sealed("one.e802.ae39f949"),
    "What does resolve() return, also if it comes second?",
)

# %% [markdown]
# [← Example 1](02_example1.ipynb) · [all pages](00_start_here.ipynb) · [next: Example 3 →](04_example3.ipynb)
