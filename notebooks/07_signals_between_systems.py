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
# # Signals between systems
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
import asyncio
import json
import secrets
import shutil
import subprocess
from datetime import UTC, datetime

import dp_core as dp
from dp_core.notebook import Fleet, Question, check, lanes

RUN = secrets.token_hex(3)

# %% [markdown]
# A server (as in the notebook before the last), so that others can reach the promises;
# and four processes that use it.

# %%
fleet = Fleet("server", "orders", "ann", "ben", "cem")
await fleet.start()
await fleet.begin(
    "server",
    """
from dp_core.server import serve
await serve("file:./promises", port=0, announce=lambda line: print(line, flush=True) if "http" in line else None)
""",
    until="\n",
)
SERVER = fleet.said("server").split()[-1]
USERS = [name for name in fleet.names if name != "server"]
await fleet.run_each(
    {
        name: f"import dp_core as dp\npromises = dp.connect({SERVER!r})\nme = {name!r}"
        for name in USERS
    }
)

# %% [markdown]
# ## 1. A callback
#
# `orders` sends a payment request to a provider, and with it the *id of a promise* (in
# real life a URL: `…/promises/<id>/resolve`). Then it awaits the promise. It may wait
# for days; it holds no thread, and it may be restarted.

# %%
PAYMENT = f"payment-{RUN}"
ORDER = f"""
payment = await promises.promise({PAYMENT!r}).get()
print("paid:", payment["amount"], payment["currency"], "- shipping the order")
"""
await fleet.begin("orders", ORDER)

# %% [markdown]
# Before the provider answers, `orders` is deployed anew: killed and started again.

# %%
await fleet.kill("orders")
await fleet.restart("orders")
await fleet.run("orders", f"import dp_core as dp\npromises = dp.connect({SERVER!r})")

# %%
callback = Question(
    "The provider calls back now; `orders` will ask only afterwards. Is the order shipped?",
    a="yes",
    b="no: nobody was listening when the callback came",
    c="only if the provider calls a second time",
)
callback.guess("")

# %% [markdown]
# The provider knows nothing about Python. It posts JSON.

# %%
body = json.dumps({"amount": 25, "currency": "EUR"})

# %%
# !curl -s {SERVER}/promises/{PAYMENT}/resolve -H 'content-type: application/json' -d '{body}'

# %%
shipped = await fleet.run("orders", ORDER)
callback.reveal("a" if shipped.text.startswith("paid: 25 EUR") else "b")

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
    a="ann sees 'approved', ben sees 'refused'",
    b="both see the same: whichever came first",
    c="one of them sees an error",
)
approval.guess("")

# %%
APPROVE = f"""
won = await promises.promise({APPROVAL!r}).resolve({{"approved by": me}})
print("my screen says:", won)
"""
REFUSE = f"""
won = await promises.promise({APPROVAL!r}).reject(f"refused by {{me}}")
print("my screen says:", won)
"""
screens = await fleet.run_each({"ann": APPROVE, "ben": REFUSE})
shown = {result.text for result in screens.values()}
approval.reveal("b" if len(shown) == 1 else "a")

# %% [markdown]
# **What happened.** A decision is a promise: one outcome, and everybody is told which.
# The program that waits for it gets the value, or an error with the reason:

# %%
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
# whoever has to decide.

# %%
LATE = f"approval-late-{RUN}"
ASK = f"""
from datetime import timedelta

promise = await promises.create(
    {LATE!r},
    deadline=timedelta(seconds=2),
    otherwise=dp.Rejected("nobody approved in time"),
    tags={{"kind": "approval", "order": "18"}},
    data={{"amount": 1200, "currency": "EUR"}},
)
print("the deadline is", promise.terms.deadline)
try:
    print("go on:", await promise)
except dp.PromiseRejectedError as error:
    print("stop:", error)
"""
await fleet.begin("orders", ASK)

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
    a="ann: no process was there that could have noticed the deadline",
    b="the deadline, though nobody was there",
    c="whichever the new `orders` sees first",
)
too_late.guess("")

# %%
answered = await fleet.run(
    "ann",
    f"""
won = await promises.promise({LATE!r}).resolve("yes", by=me)
print("my screen says:", won)
""",
)
too_late.reveal("b" if "nobody approved in time" in answered.text else "a")

# %% [markdown]
# `orders` comes back, and runs the same cell once more. To create again changes nothing:
# the first terms stand, and so does their deadline.

# %%
await fleet.restart("orders")
await fleet.run("orders", f"import dp_core as dp\npromises = dp.connect({SERVER!r})")
told = await fleet.run("orders", ASK)

# %%
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
BARRIER = [f"arrived-{name}-{RUN}" for name in ("ann", "ben", "cem")]
PHASES = f"""
import anyio, random
await anyio.sleep(random.uniform(0.0, 0.3))   # the work of phase one
await promises.promise(f"arrived-{{me}}-{RUN}").resolve()
for id in {BARRIER!r}:
    await promises.promise(id)
print(me, "begins phase two")
"""
barrier = Question(
    "ben is killed before he arrives, and restarted. What happens at the barrier?",
    a="the others begin without him",
    b="the others wait until the new ben has arrived",
    c="the barrier is broken, all have to begin again",
)
barrier.guess("")

# %%
await fleet.kill("ben")
for name in ("ann", "cem"):
    await fleet.begin(name, PHASES)
waiting = [fleet.said(name) for name in ("ann", "cem")]
print("begun without ben:", [text for text in waiting if text])

await fleet.restart("ben")
await fleet.run(
    "ben", f"import dp_core as dp\npromises = dp.connect({SERVER!r})\nme = 'ben'"
)
await fleet.run("ben", PHASES)
passed = await fleet.join("ann", "cem")
barrier.reveal("b" if waiting == ["", ""] else "a")

# %%
lanes(*BARRIER)

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
TASKS = {name: range(i * 3, i * 3 + 3) for i, name in enumerate(("ann", "ben", "cem"))}


async def collect():
    promises = [dp.durable_promise(f"task-{n}-{RUN}", SERVER) for n in range(9)]
    return await asyncio.gather(*promises)


collecting = asyncio.create_task(collect())
await fleet.run_each(
    {
        name: f"""
for n in {list(numbers)}:
    await promises.promise(f"task-{{n}}-{RUN}").resolve(n * n)
"""
        for name, numbers in TASKS.items()
    }
)
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

# %%
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

# %%
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
check(answer_1, "both: the outcome", "What does resolve() return to the one who lost?")

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
check(await first_of(one, two), "two", "'one' is pending for ever.")

# %% [markdown]
# **3.** A program waits by `get(timeout=2)` for an approval whose deadline is in three
# days, and gives up. Then ann approves. What is the promise? Replace the dots by
# `"pending"`, `"resolved"` or `"rejected"`.
#
# <details><summary>Hint</summary>A time-out ends this wait. A deadline ends the
# promise.</details>

# %%
answer_3 = ...
check(answer_3, "resolved", "A time-out changes nothing for anybody else.")

# %% [markdown]
# Next: [the same in a trio world](08_trio.ipynb).
