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
# 3. a **barrier**: nobody goes on before all have arrived
# 4. a **settler in another language**: curl, and Node
#
# All of them are the same few operations. What differs is who has the id. (And if nobody
# answers, ever? [Deadlines and late answers](in_practice/09_deadlines.ipynb) is about that. A
# person who has no program, and a system that wants to be called, are on a page of their own:
# [a link and a callback](in_practice/13_a_link_and_a_callback.ipynb).)

# %%
# %load_ext dp_core.notebook
# %scratch
import json
import secrets
import shutil
import subprocess

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
# `orders` sends a payment request to a provider, and with it the URL at which a promise is
# resolved. Then it awaits the promise. It may wait for days; it holds no thread, and it
# may be restarted.

# %%
PAYMENT = f"payment-{RUN}"
CALLBACK = f"{SERVER}/promises/{PAYMENT}/resolve"
print(CALLBACK)

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
    "The provider calls back now; `orders` asks only afterwards. Is the order shipped?",
    yes="yes",
    no="no: nobody was listening when the callback came",
    second="only if the provider calls a second time",
)
callback

# %%
# %predict callback

# %% [markdown]
# The provider knows nothing about Python. It posts JSON, here with curl. (A line that begins
# with `!` goes to the shell, with the variables that stand in braces.)

# %%
paid = json.dumps({"amount": 25, "currency": "EUR"})

# %%
# !curl -s {CALLBACK} -H 'content-type: application/json' -d '{paid}'

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
paid = json.dumps({"amount": 99, "currency": "EUR"})
# !curl -s {CALLBACK} -H 'content-type: application/json' -d '{paid}'

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
# ## 3. A barrier
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
# **What happened.** Find ben's settle, the last grey bar: no lane goes on before it begins.
# ann and cem awaited the promises one after the other; the order does not matter, because
# promises that are settled already cost no waiting.
#
# Would ann be killed *after* her arrival, her arrival would stand. The new ann resolves
# again, is told so, and goes on to wait.

# %% [markdown]
# ## 4. In another language
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
assert waiting == ["", ""]
assert all(result.text.endswith("begins phase two\n") for result in passed.values())
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
# **2.** ann has arrived at the barrier, and is killed there. Nobody starts her again. ben
# and cem arrive later. Do they go on? (`True` or `False`)
#
# <details><summary>Hint</summary>What do ben and cem wait for: for ann, or for her
# promise?</details>

# %%
answer_2 = ...
check(answer_2, Sealed("one.ae89.488e935f"), "Who keeps her arrival?")

# %% [markdown]
# **3.** The provider is quick: it calls back before `orders` has ever named the promise.
# Is the payment `"lost"`, `"refused"` or `"kept"`?
#
# <details><summary>Hint</summary>Every id is a pending promise, before anybody names
# it.</details>

# %%
answer_3 = ...
check(
    answer_3,
    Sealed("one.2a3c.c90461e7"),
    "In which state is a promise of which nobody has heard?",
)

# %% [markdown]
# [← Build your own](06_build_your_own.ipynb) · [all pages](00_start_here.ipynb) · [next: The same in a trio world →](08_trio.ipynb)
