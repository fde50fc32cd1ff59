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
# # Signals between systems
#
# [← Build your own](06_build_your_own.ipynb) · [all pages](00_start_here.ipynb) · [next: The same in a trio world →](08_trio.ipynb)
#
# What do people use durable promises for? For the moments in which one system has to
# *wait for another*, and either may be restarted meanwhile:
#
# 1. a **callback**: a payment provider tells us, some time, that the money is there
# 2. an **approval**: a person decides, perhaps two of them at the same time
# 3. a **deadline**: nobody decides, and the question must not stay open for ever
# 4. a **barrier**: nobody goes on before all have arrived
# 5. a **fan-in**: many workers, one who collects
# 6. a **settler in another language**: curl, and Node
#
# All of them are the same few operations. What differs is who has the id.

# %%
# %load_ext dp_core.notebook
# %scratch
import asyncio
import json
import secrets
import shutil
import subprocess
from datetime import UTC, datetime

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check, lanes

RUN = secrets.token_hex(3)

# %% [markdown]
# A server (as on [the page about backends](05_same_code_any_backend.ipynb)), so that others can reach the promises;
# and four processes that use it.

# %%
fleet = Fleet("server", "orders", "ann", "ben", "cem")
await fleet.start()

# %%
# %%on server --until http &
from dp_core.server import serve


def announce(line):
    if "http" in line:
        print(line, flush=True)


await serve("file:./promises", port=0, announce=announce)

# %%
SERVER = fleet.said("server").split()[-1]

# %%
# %%on ann ben cem --with SERVER
import dp_core as dp
from dp_core.notebook import process_name

promises = dp.connect(SERVER)
me = process_name()

# %% [markdown]
# ## 1. A callback
#
# `orders` sends a payment request to a provider, and with it the *id of a promise* (in
# real life a URL: `…/promises/<id>/resolve`). Then it awaits the promise. It may wait
# for days; it holds no thread, and it may be restarted.

# %%
PAYMENT = f"payment-{RUN}"

# %%
# %%on orders --with SERVER PAYMENT &
import dp_core as dp

payment = await dp.durable_promise(PAYMENT, SERVER)
print("paid:", payment["amount"], payment["currency"], "- shipping the order")

# %% [markdown]
# Before the provider answers, `orders` is deployed anew: killed and started again.

# %%
await fleet.kill("orders")
await fleet.restart("orders")

# %%
callback = Question(
    "The provider calls back now; `orders` will ask only afterwards. Is the order shipped?",
    yes="yes",
    no="no: nobody was listening when the callback came",
    second="only if the provider calls a second time",
)
callback

# %%
# %predict callback

# %% [markdown]
# The provider knows nothing about Python. It posts JSON.

# %%
body = json.dumps({"amount": 25, "currency": "EUR"})

# %%
# !curl -s {SERVER}/promises/{PAYMENT}/resolve -H 'content-type: application/json' -d '{body}'

# %%
# %%on orders --with SERVER PAYMENT --no-raise-error --out shipped
import dp_core as dp

payment = await dp.durable_promise(PAYMENT, SERVER).get(timeout=10)
print("paid:", payment["amount"], payment["currency"], "- shipping the order")

# %%
callback.compare(
    yes=shipped.text.startswith("paid: 25 EUR"),
    no=shipped.error.startswith("PromiseTimeoutError"),
)

# %% [markdown]
# **What happened.** The answer was kept for as long as it took. And if the provider
# calls twice (they do, after a time-out), the second call changes nothing and is told
# the outcome:

# %%
# !curl -s {SERVER}/promises/{PAYMENT}/resolve -H 'content-type: application/json' -d '{{"amount": 99}}'

# %% [markdown]
# ## 2. An approval
#
# Two people look at a request at the same time. ann approves, ben refuses.

# %%
APPROVAL = f"approval-{RUN}"
approval = Question(
    "Both press their button within a millisecond. What do they see on their screens?",
    own="ann sees 'approved', ben sees 'refused'",
    same="both see the same: whichever came first",
    error="one of them sees an error",
)
approval

# %%
# %predict approval

# %% tags=["varies"]
# %%on ann ben --with APPROVAL --no-raise-error --out screens
promise = promises.promise(APPROVAL)
if me == "ann":
    won = await promise.resolve({"approved by": me})
else:
    won = await promise.reject(f"refused by {me}")
print("my screen says:", won)

# %%
shown = {result.text for result in screens.values()}
approval.compare(
    own=len(shown) == 2,
    same=len(shown) == 1,
    error=any(result.error for result in screens.values()),
)

# %% [markdown]
# **What happened.** A decision is a promise: one outcome, and everybody is told which.
# The program that waits for it gets the value, or an error with the reason:

# %% tags=["varies"]
try:
    print("go on:", await dp.durable_promise(APPROVAL, SERVER))
except dp.PromiseRejectedError as error:
    print("stop:", error)

# %% [markdown]
# ## 3. A deadline
#
# The next order needs an approval, too, and this time nobody answers. So `orders` does
# not only name the promise; it *creates* it, with terms: a deadline (two seconds here,
# three days in real life), what it settles to then, tags to find it by, and data for
# whoever has to decide. It will do so twice, so its program is a file.

# %%
# %%writefile asking.py
from datetime import timedelta

import dp_core as dp


async def ask(server, id):
    promise = await dp.connect(server).create(
        id,
        deadline=timedelta(seconds=2),
        otherwise=dp.Rejected("nobody approved in time"),
        tags={"kind": "approval", "order": "18"},
        data={"amount": 1200, "currency": "EUR"},
    )
    print("the deadline is", promise.terms.deadline)
    try:
        print("go on:", await promise)
    except dp.PromiseRejectedError as error:
        print("stop:", error)


# %%
LATE = f"approval-late-{RUN}"

# %%
# %%on orders --with SERVER LATE &
import asking

await asking.ask(SERVER, LATE)

# %% [markdown]
# It waits. Then its process is killed: creator and waiter are gone, and the deadline
# passes with nobody there.

# %%
await fleet.kill("orders")

# %%
late = dp.durable_promise(LATE, SERVER)
deadline = (await late.info()).terms.deadline
await asyncio.sleep((deadline - datetime.now(UTC)).total_seconds())

# %%
too_late = Question(
    "ann approves now. Who wins, the late answer or the deadline?",
    ann="ann: no process was there that could have noticed the deadline",
    deadline="the deadline, though nobody was there",
    first="whichever the new `orders` sees first",
)
too_late

# %%
# %predict too_late

# %%
# %%on ann --with LATE --out answered
won = await promises.promise(LATE).resolve("yes", by=me)
print("my screen says:", won)

# %%
too_late.compare(
    ann="'yes'" in answered.text, deadline="nobody approved in time" in answered.text
)

# %% [markdown]
# `orders` comes back, and asks the same once more. To create again changes nothing:
# the first terms stand, and so does their deadline.

# %%
await fleet.restart("orders")

# %%
# %%on orders --with SERVER LATE --out told
import asking

await asking.ask(SERVER, LATE)

# %% tags=["varies"]
# %promises {APPROVAL} {LATE}

# %%
lanes(LATE)

# %% [markdown]
# **What happened.** A deadline is *one more settler, which comes through the same door*.
# Whoever looks at a pending promise after its deadline settles it with what the terms
# say, and only then goes on: the server, which looks by itself, or ann's late answer.
# So the first one wins here, too. Had ann been faster by a millisecond, hers would be
# the outcome, and the deadline would mean nothing. A clock decides *when*, never *what*.
#
# The board says who settled each of them, until when, and its tags. Tags are also how
# somebody who does not know the id finds what is to be decided:

# %%
found = [info async for info in dp.connect(SERVER).list(tags={"kind": "approval"})]
for info in found:
    print(info.id, info.terms.data, info.state, "expired" if info.expired else "")

# %% [markdown]
# ## 4. A barrier
#
# ann, ben and cem each do some work. Nobody may start the second phase before all have
# finished the first. Each has a promise; each resolves its own and awaits all.

# %%
BARRIER = {name: f"arrived-{name}-{RUN}" for name in ("ann", "ben", "cem")}
barrier = Question(
    "ben is killed before he arrives, and restarted. What happens at the barrier?",
    without="the others begin without him",
    waits="the others wait until the new ben has arrived",
    broken="the barrier is broken, all have to begin again",
)
barrier

# %%
# %predict barrier

# %%
await fleet.kill("ben")

# %% tags=["varies"]
# %%on ann cem --with BARRIER &
import random

import anyio

await anyio.sleep(random.uniform(0.0, 0.3))  # the work of phase one
await promises.promise(BARRIER[me]).resolve()
for id in BARRIER.values():
    await promises.promise(id)
print(me, "begins phase two")

# %%
waiting = [fleet.said(name) for name in ("ann", "cem")]
print("begun without ben:", [text for text in waiting if text])
await fleet.restart("ben")

# %%
# %%on ben --with SERVER BARRIER
import dp_core as dp
from dp_core.notebook import process_name

promises = dp.connect(SERVER)
me = process_name()

await promises.promise(BARRIER[me]).resolve()
for id in BARRIER.values():
    await promises.promise(id)
print(me, "begins phase two")

# %%
passed = await fleet.join("ann", "cem")
barrier.compare(without=any(waiting), waits=not any(waiting))

# %% tags=["varies"]
lanes(*BARRIER.values())

# %% [markdown]
# **What happened.** Find the last filled dot: no lane goes on before it. ann and cem
# awaited the promises one after the other; the order does not matter, because promises
# that are settled already cost no waiting.
#
# Would ann be killed *after* her arrival, her arrival would stand. The new ann resolves
# again, is told so, and goes on to wait.

# %% [markdown]
# ## 5. A fan-in
#
# Three workers, nine tasks. The notebook collects: it awaits nine promises at once.

# %%
TASKS = {"ann": [0, 1, 2], "ben": [3, 4, 5], "cem": [6, 7, 8]}


async def collect():
    promises = [dp.durable_promise(f"task-{n}-{RUN}", SERVER) for n in range(9)]
    return await asyncio.gather(*promises)


collecting = asyncio.create_task(collect())

# %%
# %%on ann ben cem --with TASKS RUN
for n in TASKS[me]:
    await promises.promise(f"task-{n}-{RUN}").resolve(n * n)

# %%
squares = await collecting
print(squares)

# %% [markdown]
# Had the collector been killed, a new one would get all nine at once: the results are
# in the store. That is the difference to a queue, from which they would be gone.

# %% [markdown]
# ## 6. In another language
#
# The wire is HTTP and JSON. curl you have seen. This is Node, with no library at all:
# it waits for a promise, and then resolves another one.

# %% tags=["varies"]
NODE = """
const [server, run] = process.argv.slice(1);
const post = (path, body) =>
  fetch(`${server}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  }).then((response) => response.json());

const asked = await post("/promise/await", { promiseId: `question-${run}` });
console.log("node was asked:", asked.value);
const won = await post(`/promises/answer-${run}/resolve`, "42, says node");
console.log("node is told:", JSON.stringify(won));
"""
node = shutil.which("node")
program = node and subprocess.Popen(
    [node, "--input-type=module", "-e", NODE, SERVER, RUN],
    stdout=subprocess.PIPE,
    text=True,
)
print("node waits for a question" if program else "no node here: python answers")

# %% tags=["varies"]
question, answer = (
    dp.durable_promise(f"{name}-{RUN}", SERVER) for name in ("question", "answer")
)
await question.resolve("What is six times seven?")
if program is None:
    await answer.resolve("42, says python")
said = await answer.get(timeout=30)
print("the answer is:", said)
if program:
    print(program.communicate()[0], end="")
answer

# %% [markdown]
# **What happened.** Two programs in two languages had a conversation, each waiting for
# the other, without a connection between them. The server holds a waiting request open
# until the promise is settled.

# %% [markdown]
# ## Check

# %%
assert shipped.text.startswith("paid: 25 EUR")
assert (await dp.durable_promise(PAYMENT, SERVER))["amount"] == 25
assert len(shown) == 1
assert "nobody approved in time" in answered.text
assert told.text.endswith("stop: nobody approved in time\n")
assert [(info.id, info.expired) for info in found] == [(LATE, True)]
assert waiting == ["", ""]
assert all(result.text.endswith("begins phase two\n") for result in passed.values())
assert squares == [n * n for n in range(9)]
assert said.startswith("42")
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** A customer cancels an order while the payment provider calls back. Both settle
# `payment-…`: the provider resolves, the cancellation rejects. Who has to check what,
# so that nothing is shipped *and* refunded? Replace the dots by `"nobody"`,
# `"both: the outcome"` or `"a lock"`.
#
# <details><summary>Hint</summary>Each of them is told the outcome that stands. The one
# who lost knows what to do.</details>

# %%
answer_1 = ...
check(
    answer_1,
    Sealed("one.7680.588f4166.967b912a"),
    "What does resolve() return to the one who lost?",
)

# %% [markdown]
# **2.** Write `first_of(*promises)`: it returns the value of whichever promise is
# settled first.
#
# <details><summary>Hint</summary><code>asyncio.wait(tasks,
# return_when=asyncio.FIRST_COMPLETED)</code>, then cancel the others. Cancelling a wait
# changes nothing for anybody else.</details>


# %%
async def first_of(*promises): ...


one, two = (dp.durable_promise(f"{name}-{RUN}", "memory:") for name in ("one", "two"))
await two.resolve("two")
check(
    await first_of(one, two), Sealed("one.879c.675a2491"), "'one' is pending for ever."
)

# %% [markdown]
# **3.** A program waits by `get(timeout=2)` for an approval whose deadline is in three
# days, and gives up. Then ann approves. What is the promise? Replace the dots by
# `"pending"`, `"resolved"` or `"rejected"`.
#
# <details><summary>Hint</summary>A time-out ends this wait. A deadline ends the
# promise.</details>

# %%
answer_3 = ...
check(
    answer_3,
    Sealed("one.ef53.dca23e46"),
    "What does a time-out end, and what a deadline?",
)

# %% [markdown]
# [← Build your own](06_build_your_own.ipynb) · [all pages](00_start_here.ipynb) · [next: The same in a trio world →](08_trio.ipynb)
