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
# # Example 3: ten processes at once, and `kill -9`
#
# [← Example 2](03_example2.ipynb) · [all pages](00_start_here.ipynb) · [next: The same code on any backend →](05_same_code_any_backend.ipynb)
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
# %scratch
import os
import random
import secrets

import dp_core as dp
from dp_core.notebook import JOURNAL, Board, Fleet, Question, Sealed, check, watch

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


# %% tags=["varies"]
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

# %%
parallel = Question(
    "Some await, some resolve, all at the same time. How many outcomes are there?",
    one="exactly one, and all ten are told the same",
    each="one for each process that resolves",
    usually="usually one; sometimes two, if they are very close together",
)
parallel

# %%
# %predict parallel

# %% [markdown]
# The next cell shows the board and the lanes. They follow what happens; run the cell
# after it and look back up here.

# %% tags=["varies"]
watch(PARALLEL)

# %% tags=["varies"]
# %%on all --with SEED PARALLEL
import os
import random

import dp_core as dp
from dp_core.notebook import process_name

pid, me = os.getpid(), process_name()
promise = dp.durable_promise(PARALLEL)
resolve = random.Random(f"{SEED}-{me}").random() < 0.3
print(f"{pid} will {'RESOLVE' if resolve else 'AWAIT'} the promise")

peeked = await promise.peek()
print(f"{pid} : Peek '{PARALLEL}' = {peeked}")

if resolve:
    won = await promise.resolve(f"Completed by {pid}")
    print(f"{pid} : '{PARALLEL}' actually resolved to '{won.unwrap()}'")
else:
    print(f"{pid} : Awaiting '{PARALLEL}'...")
    print(f"{pid} : Got result for '{PARALLEL}' = '{await promise}'")

# %%
SETTLED = ("got", "won", "refused")
told = {e.process: e.text for e in JOURNAL.about(PARALLEL) if e.kind in SETTLED}
pids = {e.process: e.pid for e in JOURNAL.about(PARALLEL) if e.kind in SETTLED}
outcomes = set(told.values())
print(len(set(pids.values())), "processes were told", outcomes)
parallel.compare(one=len(outcomes) == 1, each=len(outcomes) > 1)

# %% [markdown]
# **What happened.** Ten pids, one outcome. The filled dot is the settle that took
# effect: there the settler was told so. It took effect a little earlier, in the grey bar
# that ends at the dot, and some of the others learned of it at once. No wait ends before
# that bar begins: nobody saw a value that was not final. Later settles are refused and told
# the outcome. Those whose wait is very short, or who have none, came after the settle.
#
# Nobody coordinated this. There is no lock and no leader. On the file store the
# decision is one system call, `link(2)`, which succeeds for exactly one caller; over
# HTTP the server makes that call.

# %% [markdown]
# ## Killed before
#
# Here three of the ten take part. `p0` wants to resolve a promise, but first it
# computes. `p1` awaits. Then `p0` is killed while it computes.

# %%
BEFORE = f"before-{RUN}"

# %%
# %%on p1 --with BEFORE &
print(await dp.durable_promise(BEFORE))

# %%
# %%on p0 --with BEFORE --until computing &
import time

promise = dp.durable_promise(BEFORE)
print(await promise.peek(), "and computing ...", flush=True)
time.sleep(3600)
await promise.resolve("from p0")

# %%
before = Question(
    "p0 is killed before it could resolve. What is the promise now?",
    pending="pending, and p1 goes on waiting",
    rejected="rejected, because its resolver died",
    lost="lost: p1 waits for ever, whatever anybody does",
)
before

# %%
# %predict before

# %%
await fleet.kill("p0")
state_after_kill = await dp.durable_promise(BEFORE).peek()
print(state_after_kill)
before.compare(
    pending=state_after_kill == dp.Pending(),
    rejected=isinstance(state_after_kill, dp.Rejected),
)

# %% [markdown]
# **What happened.** Nothing, and that is right. No promise belongs to a process, so the
# death of one settles nothing. Anybody may take over, for example `p2`:

# %%
# %%on p2 --with BEFORE
await dp.durable_promise(BEFORE).resolve("from p2 instead")

# %%
joined = await fleet.join("p1")

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
DURING = {name: f"during-{name}-{RUN}" for name in VICTIMS}

# %%
during = Question(
    "In which state may such a promise be found afterwards?",
    whole="pending or resolved, never anything else",
    pending="always pending: the process did not finish",
    damaged="possibly damaged: half of a value may have been written",
)
during

# %%
# %predict during

# %%
# %%on p0 p3 p4 p5 --with VICTIMS DURING --no-raise-error --out victims
import asyncio
import os
import signal
import threading
import time

import dp_core as dp
from dp_core.notebook import process_name

me = process_name()


def die():
    time.sleep(VICTIMS[me] / 1000)
    os.kill(os.getpid(), signal.SIGKILL)


promise = dp.durable_promise(DURING[me])
# The event loop gets to it when resolve() has begun, and waits for the first time.
asyncio.get_running_loop().call_soon(threading.Thread(target=die).start)
await promise.resolve("from the victim")
await asyncio.sleep(3600)

# %% tags=["varies"]
print(victims)


async def look(id):
    try:
        return await dp.durable_promise(id).peek()
    except dp.CorruptPromiseError as error:
        return error


states = {name: await look(id) for name, id in DURING.items()}
for name, milliseconds in VICTIMS.items():
    print(f"{name}, killed {milliseconds} ms after it began: {states[name]}")
WHOLE = (dp.Pending(), dp.Resolved("from the victim"))
during.compare(
    whole=all(state in WHOLE for state in states.values()),
    damaged=not all(state in WHOLE for state in states.values()),
)

# %% [markdown]
# **What happened.** Each promise is either as before, or resolved with the whole value.
# Run the cells again (after restarting the victims, and with another `RUN`) and the milliseconds at which it
# tips will differ; a third state you will not find. The value is written to a
# temporary file first; only when that is safe on disk it gets its final name, in one
# indivisible step.
#
# What does the victim do after its restart? It does not know how far it came. It does
# not need to: **it resolves again**. Either this one takes effect, or it is told that
# the first one did. Here a value of another text is used to see which:

# %% tags=["varies"]
await fleet.restart("p0")
second = await dp.durable_promise(DURING["p0"]).resolve("from the second try")
print(f"{states['p0']}, and after another resolve: {second}")

# %% [markdown]
# ## Killed after
#
# Once `resolve` has returned, the value is durable. `p6` resolves, and kills itself as
# soon as it knows.

# %%
AFTER = f"after-{RUN}"

# %%
# %%on p1 --with AFTER &
print(await dp.durable_promise(AFTER))

# %%
after = Question(
    "p6 dies right after resolve() has returned. What does p1 get?",
    value="the value",
    error="an error: its partner died",
    nothing="nothing",
)
after

# %%
# %predict after

# %%
# %%on p6 --with AFTER --no-raise-error --out last_words
import os
import signal

await dp.durable_promise(AFTER).resolve("last words")
os.kill(os.getpid(), signal.SIGKILL)

# %%
print(last_words)
heard = (await fleet.join("p1", check=False))["p1"]
after.compare(
    value=heard.text == "last words\n",
    error=bool(heard.error),
    nothing=not heard.error and not heard.text,
)

# %% [markdown]
# ## The awaiter is killed
#
# Last case: `p7` awaits and is killed. While it is dead, `p8` resolves. Then `p7` is
# started again, and awaits again.

# %%
AGAIN = f"again-{RUN}"

# %%
# %%on p7 --with AGAIN &
print(await dp.durable_promise(AGAIN))

# %%
old_pid = fleet.pids["p7"]
await fleet.kill("p7")

# %%
# %%on p8 --with AGAIN
await dp.durable_promise(AGAIN).resolve("you missed this")

# %%
again = Question(
    "p7 was dead when the promise was resolved. It is restarted and awaits again.",
    waits="it waits for ever: it has missed the signal",
    value="it gets 'you missed this'",
    told="it must be told first, by p8, that there is something to read",
)
again

# %%
# %predict again

# %%
await fleet.restart("p7")

# %%
# %%on p7 --with AGAIN --no-raise-error --out reply
import dp_core as dp

print(await dp.durable_promise(AGAIN).get(timeout=10))

# %%
# %%on p7 --out once_more
print(await dp.durable_promise(AGAIN))

# %%
again.compare(
    waits=reply.error.startswith("PromiseTimeoutError"),
    value=reply.text == "you missed this\n",
)
print("p7 was", old_pid, "and is", fleet.pids["p7"])

# %% [markdown]
# The lanes of all four deaths. Find the crosses, and what the others did:

# %%
ids = " ".join(DURING.values())
# %lanes {BEFORE} {ids} {AFTER} {AGAIN}

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
check(answer_1, Sealed("one.ff04.3e232b54"), "Who would write it?")

# %% [markdown]
# **2.** Which of the four deaths needs a *deadline* somewhere, so that the others do
# not wait for ever: `"before"`, `"during"`, `"after"` or `"awaiter"`?
#
# <details><summary>Hint</summary>In which case is nobody left who intends to settle the
# promise, for sure?</details>

# %%
answer_2 = ...
check(
    answer_2,
    Sealed("one.0aff.d00250e3"),
    "In which of them is it certain that nobody has settled it, and nobody will?",
)

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
check(answer_3, Sealed("one.f2b1.833fd378"), "Try it.")

# %% [markdown]
# [← Example 2](03_example2.ipynb) · [all pages](00_start_here.ipynb) · [next: The same code on any backend →](05_same_code_any_backend.ipynb)
