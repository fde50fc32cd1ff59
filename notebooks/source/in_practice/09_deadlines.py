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
# # Deadlines and late answers: who wins?
#
# [← The same in a trio world](../08_trio.ipynb) · [all pages](../00_start_here.ipynb) · [next: Many at once →](10_many_at_once.ipynb)
#
# **For whom?** For you, if your program asks somebody (a person, a payment provider,
# another team) and cannot wait for ever. You know [example 2](../03_example2.ipynb).
# **It takes** about 25 minutes. **Afterwards you can** give a question a deadline, say who
# wins when an answer comes late or at the very moment, and what a wrong clock can do.
#
# The usual way is a timer in the program that asks. It has two holes: the timer dies with
# the program, and an answer that comes at the moment of the timer is taken by one part of
# the system and thrown away by another. On this page the deadline belongs to the *promise*.

# %%
# %load_ext dp_core.notebook
# %scratch
import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check, lanes

RUN = secrets.token_hex(3)
fleet = Fleet("orders", "ann", "ben")
await fleet.start()

# %% [markdown]
# ## 1. Nobody is there when it is over
#
# `orders` needs an approval. It does not only name the promise; it *creates* it, with
# terms: a deadline (two seconds here, three days in real life), what the promise
# settles to then (`otherwise`), tags to find it by, and data for whoever decides. It will
# do so twice, so its program is a file.

# %%
# %%writefile asking.py
from datetime import timedelta

import dp_core as dp


async def ask(id):
    promise = await dp.connect().create(
        id,
        deadline=timedelta(seconds=2),
        otherwise=dp.Rejected("nobody approved in time"),
        tags={"kind": "approval"},
        data={"amount": 1200, "currency": "EUR"},
    )
    print("the deadline is", promise.terms.deadline)
    try:
        print("go on:", await promise)
    except dp.PromiseRejectedError as error:
        print("stop:", error)


# %%
APPROVAL = f"approval-{RUN}"

# %%
# %%on orders --with APPROVAL &
import asking

await asking.ask(APPROVAL)

# %% [markdown]
# `orders` waits. Then it is killed. Who created the promise is gone, who waited for it is
# gone, and so would be any timer. The deadline passes with nobody there.

# %%
await fleet.kill("orders")
approval = dp.durable_promise(APPROVAL)
deadline = (await approval.info()).terms.deadline
await asyncio.sleep((deadline - datetime.now(UTC)).total_seconds())

# %%
late = Question(
    "The deadline is over, and no process has noticed. Now ann approves. Who wins?",
    ann="she does: nobody has settled the promise before her",
    deadline="the deadline, though nobody was there",
    first="whichever the new `orders` sees first",
)
late

# %%
# %predict late

# %%
# %%on ann --with APPROVAL --out answered
import dp_core as dp

won = await dp.durable_promise(APPROVAL).resolve("yes", by="ann")
print("my screen says:", won)

# %%
late.compare(
    ann="'yes'" in answered.text, deadline="nobody approved in time" in answered.text
)

# %% [markdown]
# **What happened.** A deadline is *one more settler, which comes through the same door*.
# Whoever looks at a pending promise after its deadline first settles it with what its
# terms say, and only then goes on. Here this was ann's own late answer: her process found
# the deadline over, settled the promise as the terms say, and then came second.
#
# So no timer is needed, and none can be lost: the deadline is kept where the promise is.

# %% [markdown]
# ## 2. To ask again changes nothing
#
# `orders` is started again, and runs the same program. It creates the promise anew, with
# a deadline that is two seconds from *now*.

# %%
await fleet.restart("orders")
anew = Question(
    "The program creates the promise once more. Which deadline has it then?",
    first="the one it had: that is over, and the promise is settled",
    new="one in two seconds: until then it is pending again",
    error="to create it twice is an error",
)
anew

# %%
# %predict anew

# %%
# %%on orders --with APPROVAL --no-raise-error --out told
import asking

await asking.ask(APPROVAL)

# %%
anew.compare(
    first=str(deadline) in told.text,
    new=bool(told.text) and str(deadline) not in told.text,
    error=bool(told.error),
)

# %%
lanes(APPROVAL)

# %% [markdown]
# **What happened.** The first terms stand, as the first outcome does. That is why a
# program may simply start from its first line after a crash. And the board says who
# settled the promise: nobody did, its deadline has.

# %%
# %promises {APPROVAL}

# %% [markdown]
# ## 3. A race with the deadline
#
# Now the tight spot. Seven promises; ann answers each of them so many milliseconds before
# or after its deadline. An answer takes a few milliseconds itself: some begin before the
# deadline and end after it. ben waits for all seven and takes down what *he* is told.

# %%
AFTER = dict(enumerate((-1000, -4, -2, 0, 2, 4, 100)))
RACES = {f"race-{n}-{RUN}": ms for n, ms in AFTER.items()}
promises = dp.connect()
for n, id in enumerate(RACES):
    await promises.create(
        id,
        deadline=timedelta(seconds=2 + n / 8),
        otherwise=dp.Resolved("the deadline"),
    )

# %%
race = Question(
    "An answer begins before the deadline and ends after it. What are ann and ben told?",
    one="the same: either ann or the deadline, and one cannot say beforehand which",
    two="ann that she has won, ben that the deadline has",
    deadline="the same: the deadline always wins then",
)
race

# %%
# %predict race

# %%
# %%on ben --with RACES &
import dp_core as dp

outcomes = await dp.all_settled(*(dp.durable_promise(id) for id in RACES))
print(*(outcome.value for outcome in outcomes), sep=", ")

# %% tags=["varies"]
# %%on ann --with RACES --out hers
import time

import anyio

told = []
for id, ms in RACES.items():
    promise = dp.durable_promise(id)
    over = (await promise.info()).terms.deadline.timestamp()
    await anyio.sleep(max(0, over + ms / 1000 - time.time()))
    told.append((await promise.resolve("ann")).value)
print(*told, sep=", ")

# %% tags=["varies"]
his = (await fleet.join("ben"))["ben"]
to_ann, to_ben = (one.text.strip().split(", ") for one in (hers, his))
for (id, ms), ann, ben in zip(RACES.items(), to_ann, to_ben, strict=True):
    by_deadline = (await promises.promise(id).info()).expired
    print(f"{ms:+5} ms   ann: {ann:13} ben: {ben:13} expired: {by_deadline}")

# %%
race.compare(
    one=to_ann == to_ben and len(set(to_ann)) == 2,
    two=to_ann != to_ben,
    deadline=to_ann == to_ben and set(to_ann) == {"the deadline"},
)

# %% [markdown]
# **What happened.** Close to the deadline one cannot say beforehand who wins. But in every
# row ann and ben were told the same, and `expired` says the same as well. There is no
# moment at which two of them could be right, because the deadline has no way of its own
# into the promise: it settles like ann, and the first one wins.
#
# What can be said beforehand: an answer that *begins* after the deadline loses.

# %% [markdown]
# ## 4. A wrong clock
#
# The clock that counts is that of the store: over HTTP the server's, in PostgreSQL the
# database's. On the file store, as here, it is the clock of each process that looks. So
# let us set one wrong. `DeadlineClock`, which is made for tests, moves it for one process.
#
# A new promise has three days. ben's clock is four days ahead.

# %%
PATIENT = f"patient-{RUN}"
patient = await promises.create(PATIENT, deadline=timedelta(days=3), data="no hurry")
print(await patient.peek())

# %%
ahead = Question(
    "ben looks at the promise, and then ann, whose clock is right. What do they see?",
    each="each by their own clock: ben that it has expired, ann that it is pending",
    pending="both that it is pending",
    expired="both that it has expired: ben's look has settled it, too early, for all",
)
ahead

# %%
# %predict ahead

# %%
# %%on ben --with PATIENT --out seen_by_ben
from datetime import timedelta

from dp_core.testing import DeadlineClock

with DeadlineClock() as clock:
    clock.advance(timedelta(days=4))
    print(await dp.durable_promise(PATIENT).peek())

# %%
# %%on ann --with PATIENT --out seen_by_ann
print(await dp.durable_promise(PATIENT).peek())

# %%
seen = [one.text for one in (seen_by_ben, seen_by_ann)]
pending = ["Pending" in text for text in seen]
ahead.compare(
    each=pending == [False, True], pending=all(pending), expired=not any(pending)
)

# %% [markdown]
# **What happened.** A clock that is ahead settles too early. That is bad, and no store can
# mend it: somebody has to set the clock (NTP). But nobody was told two stories. Once
# anybody was shown an outcome, all are.
#
# And a clock that goes *back*? orders' clock is set to last year, long before the deadline.

# %%
back = Question(
    "By the clock of `orders` the deadline is a year away. What does it see?",
    pending="that it is open: the deadline has not come yet",
    settled="what all others see",
)
back

# %%
# %predict back

# %%
# %%on orders --with PATIENT --out seen_last_year
from datetime import timedelta

import dp_core as dp
from dp_core.testing import DeadlineClock

with DeadlineClock() as clock:
    clock.advance(timedelta(days=-365))
    print(
        clock.now.year,
        "is the year, and it is",
        await dp.durable_promise(PATIENT).peek(),
    )

# %%
back.compare(
    pending="Pending" in seen_last_year.text, settled="Rejected" in seen_last_year.text
)

# %% [markdown]
# **What happened.** That the deadline has passed is not worked out anew by each reader. It
# was settled, once, like any promise, and stays so. **A clock decides when, never what.**

# %% [markdown]
# ## Check

# %%
info = await approval.info()
assert info.expired
assert info.settled_by is None
assert "nobody approved in time" in answered.text
assert told.text.endswith("stop: nobody approved in time\n")
assert told.text.startswith(f"the deadline is {deadline}")
assert to_ann == to_ben
assert to_ann[0] == "ann"
assert to_ann[-1] == "the deadline"
assert all("deadline passed" in text for text in (*seen, seen_last_year.text))
await promises.aclose()
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** A program waits by `get(timeout=2)` for an approval whose deadline is in three
# days, and gives up. Then ann approves. What is the promise: `"pending"`, `"resolved"` or
# `"rejected"`?
#
# <details><summary>Hint</summary>A time-out ends this wait. A deadline ends the
# promise.</details>

# %%
answer_1 = ...
check(
    answer_1,
    Sealed("one.ee59.302336a9"),
    "What does a time-out end, and what a deadline?",
)

# %% [markdown]
# **2.** ann approves in time. Then the deadline passes, and somebody asks for `info()`.
# What does it say of `settled_by` and `expired`? Write two values, as in `["bob", True]`.
#
# <details><summary>Hint</summary>The deadline of a promise that is settled means
# nothing.</details>

# %%
answer_2 = ...
check(answer_2, Sealed("row.63c4.f3ea4298.33addcca"), "Who was first?")

# %% [markdown]
# **3.** Write `ask_politely`: it asks for a value, waits until it comes, and returns a
# default if none comes in time. After a crash, to call it again must be safe. (The check
# asks with a fifth of a second and the default `"no sugar"`, and nobody answers.)
#
# <details><summary>Hint</summary><code>otherwise</code> may be
# <code>dp.Resolved(default)</code> as well. Then there is no error to catch.</details>


# %%
async def ask_politely(promises, id, seconds, default): ...


async with dp.connect("memory:") as kitchen:
    attempt = await ask_politely(kitchen, f"sugar-{RUN}", 0.2, "no sugar")
    stands = await kitchen.promise(f"sugar-{RUN}").peek()
check(
    attempt and [attempt, stands],
    lambda both: both == ["no sugar", dp.Resolved("no sugar")],
    "The default must be the outcome of the promise: others are told it, too.",
)

# %% [markdown]
# [← The same in a trio world](../08_trio.ipynb) · [all pages](../00_start_here.ipynb) · [next: Many at once →](10_many_at_once.ipynb)
