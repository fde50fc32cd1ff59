# ---
# jupyter:
#   jupytext:
#     formats: ipynb,../source/in_practice//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Many at once
#
# [← Deadlines and late answers](09_deadlines.ipynb) · [all pages](../00_start_here.ipynb) · [next: A thousand settlers →](11_a_thousand_settlers.ipynb)
#
# **For whom?** For you, if one part of your system collects what many others do. You know
# [example 2](../03_example2.ipynb). **It takes** about 30 minutes. **Afterwards you can** wait
# for all of many promises, for the first of them, or for each as it comes; say what happens
# to the others when one fails or wins; and wait for thousands at the price of one.
#
# There are four ways:
#
# | | waits for | returns |
# |---|---|---|
# | `dp.gather(a, b, …)` | all, or the first rejection | the values, in the order of the arguments |
# | `dp.all_settled(a, b, …)` | all | the outcomes, in the order of the arguments |
# | `dp.race(a, b, …)` | the first that is settled | this promise, and its outcome |
# | `dp.as_settled([a, b, …])` | each in turn | for each a promise and its outcome, as they come |

# %%
# %load_ext dp_core.notebook
# %scratch
import asyncio
import secrets

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check, lanes

RUN = secrets.token_hex(3)
fleet = Fleet("boss", "ann", "ben", "cem")
await fleet.start()

# %%
# %%on all
import dp_core as dp
from dp_core.notebook import process_name

me = process_name()

# %% [markdown]
# ## 1. A fan-in
#
# Three workers, nine tasks, one who collects. Each task has a promise; the worker resolves
# it, `boss` gathers all nine. ann and ben work. cem is slow, so `boss` waits.

# %%
TASKS = {"ann": [0, 1, 2], "ben": [3, 4, 5], "cem": [6, 7, 8]}
IDS = [f"task-{n}-{RUN}" for n in range(9)]

# %%
# %%on ann ben --with TASKS IDS
for n in TASKS[me]:
    await dp.durable_promise(IDS[n]).resolve(n * n)

# %%
# %%on boss --with IDS &
print(await dp.gather(*(dp.durable_promise(id) for id in IDS)))

# %% [markdown]
# `boss` has six of nine results, and is killed. cem finishes. Then `boss` is started again.

# %%
await fleet.kill("boss")

# %%
# %%on cem --with TASKS IDS
for n in TASKS[me]:
    await dp.durable_promise(IDS[n]).resolve(n * n)

# %%
await fleet.restart("boss")
collected = Question(
    "The new `boss` runs the same line. What does it get?",
    all="all nine results, at once",
    rest="the three that the old `boss` had not seen",
    none="nothing: the work has to be done again",
)
collected

# %%
# %predict collected

# %%
# %%on boss --with IDS --no-raise-error --out gathered
import dp_core as dp

promises = [dp.durable_promise(id) for id in IDS]
print(await dp.gather(*promises))

# %%
squares = gathered.text.strip()
collected.compare(
    all=squares == str([n * n for n in range(9)]),
    rest=squares == "[36, 49, 64]",
    none=bool(gathered.error),
)

# %% [markdown]
# **What happened.** That is the difference to a queue, from which the six would be gone.
# Results are *states*; to collect them takes nothing away, and the list is in the order
# of the arguments, not of time.

# %% [markdown]
# ## 2. One of them fails
#
# An order needs three answers: the stock, the payment, the address. `boss` gathers them.

# %%
ORDER = {name: f"{name}-{RUN}" for name in ("stock", "payment", "address")}

# %%
# %%on boss --with ORDER &
try:
    print(await dp.gather(*(dp.durable_promise(id) for id in ORDER.values())))
except dp.PromiseRejectedError as error:
    print("stop:", error)

# %%
fails = Question(
    "The payment is rejected. The other two have not answered. What does `gather` do?",
    waits="it waits for them, and raises the error then",
    raises="it raises the error at once, and leaves the other two as they are",
    rejects="it raises the error at once, and rejects the other two",
)
fails

# %%
# %predict fails

# %%
# %%on ann --with ORDER
await dp.durable_promise(ORDER["payment"]).reject("the card has expired")

# %%
stopped = (await fleet.join("boss"))["boss"]
others = [await dp.durable_promise(ORDER[name]).peek() for name in ("stock", "address")]
print(others)
left_alone = others == [dp.Pending()] * 2
fails.compare(
    waits=not stopped.text,
    raises=stopped.text.startswith("stop: ") and left_alone,
    rejects=not left_alone,
)

# %% [markdown]
# **What happened.** A promise belongs to nobody, so nobody's error ends those of others.
# `gather` has stopped *waiting*, that is all. The others may answer later, and whoever wants
# to know all three, good or bad, asks with `all_settled`. That raises nothing:

# %%
# %%on ben --with ORDER
await dp.durable_promise(ORDER["stock"]).resolve("three left")
await dp.durable_promise(ORDER["address"]).resolve("Main Street 1")

# %%
# %%on boss --with ORDER --out outcomes
for outcome in await dp.all_settled(*(dp.durable_promise(id) for id in ORDER.values())):
    print(outcome)

# %%
lanes(*ORDER.values())

# %% [markdown]
# ## 3. A race between two stores
#
# Two services offer an exchange rate. ann keeps hers in the file store, ben his in an
# SQLite database. `boss` takes whichever comes first; promises of any stores may be mixed.

# %%
RATE = f"rate-{RUN}"
STORES = {"ann": "file:./promises", "ben": "sqlite:./rates.db"}

# %%
# %%on boss --with RATE STORES &
rates = [dp.durable_promise(RATE, url) for url in STORES.values()]
first, outcome = await dp.race(*rates)
print(first.url.partition(":")[0], "was first:", outcome.value)

# %%
# %%on ben --with RATE STORES
await dp.durable_promise(RATE, STORES[me]).resolve(1.08)

# %%
won = (await fleet.join("boss"))["boss"]

# %%
loser = Question(
    "ben has won. ann is still computing. What about the promise that has lost?",
    cancelled="it is cancelled: ann's answer will be refused",
    pending="it is pending, as before: ann settles it when she is ready",
    same="it is resolved, too, with the outcome that has won",
)
loser

# %%
# %predict loser

# %%
# %%on ann --with RATE STORES --out slow
promise = dp.durable_promise(RATE, STORES[me])
before = await promise.peek()
print(before, "then", await promise.resolve(1.09))

# %%
loser.compare(
    cancelled="1.09" not in slow.text,
    pending=slow.text == "Pending() then Resolved(value=1.09)\n",
    same="1.08" in slow.text,
)

# %% [markdown]
# **What happened.** To race is to *look*, and nothing is changed by that: not for ann, and
# not for others who wait for her rate. If ann shall stop, tell her so: by one more promise.
#
# By the way: if several are settled already, the first *argument* wins. A race that is
# repeated gives the same answer.

# %% [markdown]
# ## 4. As they come, and one never comes
#
# `boss` prints each result as it comes. (A plain `async for` would do. `async with` keeps
# the wait from one result to the next, which pays where they are many.) Then one worker is
# killed.

# %%
PARTS = {name: f"part-{name}-{RUN}" for name in ("ann", "ben", "cem")}

# %%
# %%on boss --with PARTS &
parts = [dp.durable_promise(id) for id in PARTS.values()]
async with dp.as_settled(parts) as settled:
    async for promise, outcome in settled:
        print(promise.id, "is", repr(outcome.value), flush=True)
print("that is all", flush=True)

# %%
await fleet.kill("cem")
one_dies = Question(
    "cem was killed before he began. ann and ben finish. What does boss's loop do?",
    two="it gives two results, and ends: cem is dead",
    waits="it gives two results, and waits for the third",
    third="it gives two results, and then that of a new cem, who is started for it",
)
one_dies

# %%
# %predict one_dies

# %%
# %%on ann ben --with PARTS
await dp.durable_promise(PARTS[me]).resolve(f"the part of {me}")

# %% [markdown]
# `fleet.said` has what `boss` has printed up to now. Once two results are there:

# %%
while fleet.said("boss").count(" is ") < 2:
    await asyncio.sleep(0.05)
so_far = fleet.said("boss")
one_dies.compare(
    two="that is all" in so_far,
    waits="that is all" not in so_far,
    third="cem" in so_far,
)

# %% [markdown]
# **What happened.** A store does not know who is going to settle a promise, so it cannot
# know that he is dead. Two things help, and both are ordinary: start cem again, as here;
# or create his promise with a [deadline](09_deadlines.ipynb), so that the loop gets an
# outcome in any case.

# %%
await fleet.restart("cem")

# %%
# %%on cem --with PARTS
import dp_core as dp

await dp.durable_promise(PARTS["cem"]).resolve("the part of the new cem")

# %%
came = (await fleet.join("boss"))["boss"]

# %%
lanes(*PARTS.values())

# %% [markdown]
# ## 5. Thousands
#
# `boss` waits for 1,000 promises of one store. How much does that cost him? He counts the
# tasks of his event loop, his threads and his open files: before, and while he waits.

# %%
MANY = 1_000
NAME = f"many-{RUN}"
price = Question(
    "He waits for 1,000 promises. How many more tasks, threads and files?",
    each="about 1,000 of one of them: something must wait for each",
    few="a few of each, as for one promise",
    polls="none: he has to look at all of them again and again",
)
price

# %%
# %predict price

# %% tags=["varies"]
# %%on boss --with NAME MANY --until "waiting:" &
import asyncio
import os
import threading


def price():
    return (
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(os.listdir("/dev/fd")),
    )


async def wait():
    print("before:", *price(), "(tasks, threads, files)")
    async with dp.as_settled(many) as settled:
        print("waiting:", *price(), "(tasks, threads, files)", flush=True)
        return [outcome.value async for _, outcome in settled]


many = [dp.durable_promise(f"{NAME}-{n}", "sqlite:./many.db") for n in range(MANY)]
await many[0].peek()  # the store is there
values = await wait()
print(len(values), "values, the sum is", sum(values))

# %% tags=["varies"]
numbers = [line.split()[1:4] for line in fleet.said("boss").splitlines()]
more = [int(after) - int(before) for before, after in zip(*numbers, strict=True)]
print("more tasks, threads and files than before:", *more)
price.compare(each=max(more) >= MANY, few=0 < max(more) < 20, polls=max(more) <= 0)

# %% [markdown]
# Now ann settles all of them, as fast as she can. ([The next page](11_a_thousand_settlers.ipynb) says
# why that is fast.)

# %%
# %%on ann --with NAME MANY
import asyncio

async with dp.connect("sqlite:./many.db") as promises:
    settles = (promises.promise(f"{NAME}-{n}").resolve(n) for n in range(MANY))
    await asyncio.gather(*settles)

# %%
sums = (await fleet.join("boss"))["boss"]

# %% [markdown]
# **What happened.** A wait holds no thread and no connection. All waits of an event loop on
# one store share one *waiter*, who learns that something has changed, asks the store once
# what is new, and wakes those whom it concerns. On PostgreSQL and over HTTP it is the same.

# %% [markdown]
# ## Check

# %%
assert squares == str([n * n for n in range(9)])
assert stopped.text == "stop: the card has expired\n"
assert left_alone
assert len(outcomes.text.splitlines()) == 3
assert won.text == "sqlite was first: 1.08\n"
assert slow.text == "Pending() then Resolved(value=1.09)\n"
assert came.text.count(" is ") == 4
assert came.text.endswith("is 'the part of the new cem'\nthat is all\n")
assert max(more) < 20
assert f"{MANY} values, the sum is {sum(range(MANY))}" in sums.text
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** `b` is resolved with `"beta"`, and a minute later `a` with `"alpha"`. What does
# `await dp.gather(a, b)` return? Write the list.
#
# <details><summary>Hint</summary>Look at the nine squares: cem was the last to finish
# there, but ben was not asked first.</details>

# %%
answer_1 = ...
check(
    answer_1,
    Sealed("row.b58d.0b45af39.52607da5"),
    "In which order: of time, or of the arguments?",
)

# %% [markdown]
# **2.** `boss` is in the middle of `await dp.gather(…)` with nine promises, and somebody
# presses Stop. How many of the nine are changed by that?
#
# <details><summary>Hint</summary>What did the death of `boss` change?</details>

# %%
answer_2 = ...
check(answer_2, Sealed("one.d309.f81b312f"), "To wait is to look.")

# %% [markdown]
# **3.** Write `first_good`: it returns the value of whichever promise is *resolved* first.
# Rejections are passed over. (The check has one that is rejected, one that is pending for
# ever, and a good one.)
#
# <details><summary>Hint</summary><code>dp.as_settled</code>, and
# <code>isinstance(outcome, dp.Resolved)</code>. Who leaves the loop leaves nothing
# behind.</details>


# %%
async def first_good(*promises): ...


async with dp.connect("memory:") as mirrors:
    bad, silent, good = map(mirrors.promise, ("bad", "silent", "good"))
    await bad.reject("not here")
    await good.resolve("good")
    attempt = await first_good(bad, silent, good)
check(
    attempt,
    Sealed("one.8119.1bb4d7d8"),
    "One of them is rejected, and one never answers.",
)

# %% [markdown]
# [← Deadlines and late answers](09_deadlines.ipynb) · [all pages](../00_start_here.ipynb) · [next: A thousand settlers →](11_a_thousand_settlers.ipynb)
