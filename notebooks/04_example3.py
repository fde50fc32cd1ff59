# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Example 3: ten processes at once, and `kill -9`
#
# Ten kernels run example 2 in parallel on one promise. You watch their lanes live.
# Then processes die at the worst moments:
#
# * one that was about to resolve, **before** it did,
# * one **while** it resolves,
# * one right **after** it resolved,
# * and one that **awaits**.
#
# Each time the question is the same: what can the others rely on?

# %%
# %load_ext dp_core.notebook
import os
import random
import secrets

import dp_core as dp
from dp_core.notebook import JOURNAL, Board, Fleet, Question, check, watch

RUN = secrets.token_hex(3)
NAMES = [f"p{i}" for i in range(10)]
fleet = Fleet(*NAMES)
await fleet.start()

# %% [markdown]
# ## Ten at once
#
# As in example 2 each process throws a die: with probability 0.3 it resolves, else it
# awaits. The seed below makes the run repeatable; it is one with which at least one
# process resolves.


# %%
def draws(seed, name):
    """Tell whether a process will resolve: it computes the same."""
    return random.Random(f"{seed}-{name}").random() < 0.3


SEED = next(
    seed
    for seed in iter(lambda: secrets.randbelow(1_000_000), None)
    if any(draws(seed, name) for name in NAMES)
)
PARALLEL = f"my-example-3-id-{RUN}"
resolvers = sum(draws(SEED, name) for name in NAMES)
print(f"seed {SEED}: {resolvers} of 10 will resolve")

await fleet.run_each(
    {name: f"me, seed, promise_id = {name!r}, {SEED}, {PARALLEL!r}" for name in NAMES}
)

# %%
parallel = Question(
    "Some await, some resolve, all at the same time. How many outcomes are there?",
    a="exactly one, and all ten are told the same",
    b="one for each process that resolves",
    c="usually one; sometimes two, if they are very close together",
)
parallel.guess("")

# %% [markdown]
# The next cell shows the board and the lanes. They follow what happens; run the cell
# after it and look back up here.

# %%
watch(PARALLEL)

# %%
# %%on all
import os
import random

import dp_core as dp

pid = os.getpid()
promise = dp.durable_promise(promise_id)
resolve = random.Random(f"{seed}-{me}").random() < 0.3
print(f"{pid} will {'RESOLVE' if resolve else 'AWAIT'} the promise")

peeked = await promise.peek()
print(f"{pid} : Peek '{promise_id}' = {peeked}")

if resolve:
    won = await promise.resolve(f"Completed by {pid}")
    print(f"{pid} : '{promise_id}' actually resolved to '{won.unwrap()}'")
else:
    print(f"{pid} : Awaiting '{promise_id}'...")
    print(f"{pid} : Got result for '{promise_id}' = '{await promise}'")

# %%
SETTLED = ("got", "won", "refused")
told = {e.process: e.text for e in JOURNAL.about(PARALLEL) if e.kind in SETTLED}
pids = {e.process: e.pid for e in JOURNAL.about(PARALLEL) if e.kind in SETTLED}
outcomes = set(told.values())
print(len(set(pids.values())), "processes were told", outcomes)
parallel.reveal("a" if len(outcomes) == 1 else "b")

# %% [markdown]
# **What happened.** Ten pids, one outcome. The filled dot is the settle that took
# effect; later ones are refused and told the outcome. All bars end at or after that
# dot, none before: nobody saw a value that was not final. Those whose bar is very
# short, or who have none, came after the settle.
#
# Nobody coordinated this. There is no lock and no leader. On the file store the
# decision is one system call, `link(2)`, which succeeds for exactly one caller; over
# HTTP the server makes that call.

# %% [markdown]
# ## Killed before
#
# From here on three of the ten take part. `p0` wants to resolve a promise, but first it
# computes. `p1` awaits. Then `p0` is killed while it computes.

# %%
BEFORE = f"before-{RUN}"
await fleet.begin("p1", f"print(await dp.durable_promise({BEFORE!r}))")
await fleet.begin(
    "p0",
    f"""
import time
promise = dp.durable_promise({BEFORE!r})
print(await promise.peek(), "and computing ...", flush=True)
time.sleep(3600)
await promise.resolve("from p0")
""",
    until="computing",
)

# %%
before = Question(
    "p0 is killed before it could resolve. What is the promise now?",
    a="pending, and p1 goes on waiting",
    b="rejected, because its resolver died",
    c="lost: p1 waits for ever, whatever anybody does",
)
before.guess("")

# %%
await fleet.kill("p0")
state_after_kill = await dp.durable_promise(BEFORE).peek()
print(state_after_kill)
before.reveal("a" if state_after_kill == dp.Pending() else "b")

# %% [markdown]
# **What happened.** Nothing, and that is right. No promise belongs to a process, so the
# death of one settles nothing. Anybody may take over, for example `p2`:

# %%
await fleet.run(
    "p2", f"await dp.durable_promise({BEFORE!r}).resolve('from p2 instead')"
)
await fleet.join("p1")

# %% [markdown]
# ## Killed while resolving
#
# This is the nasty moment. Four processes each resolve a promise of their own, and each
# kills itself with signal 9 a moment after it has begun: 0, 2, 8 or 30 milliseconds
# later. A resolution takes about as long. Some die with nothing done, some half way,
# some when it is done but before they know.

# %%
await fleet.restart("p0")
VICTIMS = {"p0": 0, "p3": 2, "p4": 8, "p5": 30}
DYING = """
import os, signal, threading, time
import dp_core as dp

def die(milliseconds):
    time.sleep(milliseconds / 1000)
    os.kill(os.getpid(), signal.SIGKILL)

promise = dp.durable_promise({id!r})
threading.Thread(target=die, args=({milliseconds},)).start()
await promise.resolve("from the victim")
import asyncio; await asyncio.sleep(3600)
"""

# %%
during = Question(
    "In which state may such a promise be found afterwards?",
    a="pending or resolved, never anything else",
    b="always pending: the process did not finish",
    c="possibly damaged: half of a value may have been written",
)
during.guess("")

# %%
victims = await fleet.run_each(
    {
        name: DYING.format(id=f"during-{name}-{RUN}", milliseconds=milliseconds)
        for name, milliseconds in VICTIMS.items()
    },
    check=False,
)
print(victims)
states = {
    name: await dp.durable_promise(f"during-{name}-{RUN}").peek() for name in VICTIMS
}
for name, milliseconds in VICTIMS.items():
    print(f"{name}, killed {milliseconds} ms after it began: {states[name]}")
WHOLE = (dp.Pending(), dp.Resolved("from the victim"))
during.reveal("a" if all(s in WHOLE for s in states.values()) else "c")

# %% [markdown]
# **What happened.** Each promise is either as before, or resolved with the whole value.
# Run the cell again (after restarting the victims) and the milliseconds at which it
# tips will differ; a third state you will not find. The value is written to a
# temporary file first; only when that is safe on disk it gets its final name, in one
# indivisible step.
#
# What does the victim do after its restart? It does not know how far it came. It does
# not need to: **it resolves again**. Either this one takes effect, or it is told that
# the first one did. Here a value of another text is used to see which:

# %%
await fleet.restart("p0")
second = await dp.durable_promise(f"during-p0-{RUN}").resolve("from the second try")
print(f"{states['p0']}, and after another resolve: {second}")

# %% [markdown]
# ## Killed after
#
# Once `resolve` has returned, the value is durable. `p6` resolves, and kills itself as
# soon as it knows.

# %%
AFTER = f"after-{RUN}"
await fleet.begin("p1", f"print(await dp.durable_promise({AFTER!r}))")
after = Question(
    "p6 dies right after resolve() has returned. What does p1 get?",
    a="the value",
    b="an error: its partner died",
    c="nothing",
)
after.guess("")

# %%
last_words = await fleet.run(
    "p6",
    f"""
import os, signal
await dp.durable_promise({AFTER!r}).resolve("last words")
os.kill(os.getpid(), signal.SIGKILL)
""",
    check=False,
)
print(last_words)
heard = await fleet.join("p1")
after.reveal("a" if heard["p1"].text == "last words\n" else "c")

# %% [markdown]
# ## The awaiter is killed
#
# Last case: `p7` awaits and is killed. While it is dead, `p8` resolves. Then `p7` is
# started again, and awaits again.

# %%
AGAIN = f"again-{RUN}"
AWAIT = f"import dp_core as dp\nprint(await dp.durable_promise({AGAIN!r}))"
await fleet.begin("p7", AWAIT)
old_pid = fleet.pids["p7"]
await fleet.kill("p7")
await fleet.run("p8", f"await dp.durable_promise({AGAIN!r}).resolve('you missed this')")

# %%
again = Question(
    "p7 was dead when the promise was resolved. It is restarted and awaits again.",
    a="it waits for ever: it has missed the signal",
    b="it gets 'you missed this'",
    c="it must be told first, by p8, that there is something to read",
)
again.guess("")

# %%
await fleet.restart("p7")
reply = await fleet.run("p7", AWAIT)
once_more = await fleet.run("p7", AWAIT)
again.reveal("b" if reply.text == "you missed this\n" else "a")
print("p7 was", old_pid, "and is", fleet.pids["p7"])

# %% [markdown]
# The lanes of all four deaths. Find the crosses, and what the others did:

# %%
DURING = " ".join(f"during-{name}-{RUN}" for name in VICTIMS)
# %lanes {BEFORE} {DURING} {AFTER} {AGAIN}

# %% [markdown]
# **What happened.** Waiting leaves no trace: a waiter that dies takes nothing with it,
# and one that comes back asks again (dashed bar) and gets the same value. As often as
# it likes.

# %% [markdown]
# ## Check

# %%
assert len({os.getpid(), *pids.values()}) == 11
assert set(told) == set(NAMES)
assert len(outcomes) == 1
assert state_after_kill == dp.Pending()
assert await dp.durable_promise(BEFORE).peek() == dp.Resolved("from p2 instead")
assert all(victim.died for victim in victims.values())
assert all(state in WHOLE for state in states.values())
assert second in (dp.Resolved("from the victim"), dp.Resolved("from the second try"))
assert await dp.durable_promise(AFTER).peek() == dp.Resolved("last words")
assert reply.text == once_more.text == "you missed this\n"
assert old_pid != fleet.pids["p7"]
board = Board(JOURNAL.about(PARALLEL, BEFORE, AFTER, AGAIN))
assert set(board.states.values()) == {"resolved"}
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** On the file store a process is killed while it resolves. Afterwards `peek` says
# `Pending()`. May a *later* peek show the value of the killed process, although nobody
# has resolved again? (`True` or `False`)
#
# <details><summary>Hint</summary>A killed process may have published its file without
# having made it safe against a power cut. A reader that finds such a file finishes the
# work before it shows the value. But <code>peek</code> has said "pending" after the
# death, so it found none. (Over HTTP the answer is <code>True</code>: the request of
# the dead process may still be on its way to the server.)</details>

# %%
answer_1 = ...
check(answer_1, False, "Who would write it?")

# %% [markdown]
# **2.** Which of the four deaths needs a *deadline* somewhere, so that the others do
# not wait for ever: `"before"`, `"during"`, `"after"` or `"awaiter"`?
#
# <details><summary>Hint</summary>In which case is nobody left who intends to settle the
# promise, for sure?</details>

# %%
answer_2 = ...
check(answer_2, "before", "'during' may have settled it; 'before' certainly has not.")

# %% [markdown]
# **3.** Make a process that is *slow* rather than dead: start a fleet of two, stop one
# of them with `os.kill(pid, signal.SIGSTOP)` while it awaits, resolve the promise, and
# let it go on with `SIGCONT`. Does it get the value? (`True` or `False`)
#
# <details><summary>Hint</summary><code>fleet.begin(...)</code>, then
# <code>fleet.pids</code>. A stopped process is one with very bad luck in
# scheduling.</details>

# %%
answer_3 = ...
check(answer_3, True, "Try it: it is there, it only takes longer.")

# %% [markdown]
# Next: [the same code on any backend](05_same_code_any_backend.ipynb).
