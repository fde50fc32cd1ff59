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
# 3. a **barrier**: nobody goes on before all have arrived
# 4. a **fan-in**: many workers, one who collects
# 5. a **settler in another language**: curl, and Node
#
# All of them are the same five operations. What differs is who has the id.

# %%
# %load_ext dp_core.notebook
import asyncio
import json
import secrets
import shutil
import subprocess

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
# ## 3. A barrier
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
# ## 4. A fan-in
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
# ## 5. In another language
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
# **3.** An approval must not be open for ever: after three days it counts as refused.
# What settles it? `"the store"`, `"whoever waits, after get(timeout=…)"` or `"nothing"`?
#
# <details><summary>Hint</summary>A deadline is one more settler, and comes through the
# same door: the first one wins, be it the person or the clock.</details>

# %%
answer_3 = ...
check(answer_3, "whoever waits, after get(timeout=…)", "Promises have no clock.")

# %% [markdown]
# Next: [the same in a trio world](08_trio.ipynb).
