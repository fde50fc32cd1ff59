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
# # A thousand settlers
#
# [← Many at once](10_many_at_once.ipynb) · [all pages](../00_start_here.ipynb) · [next: Catch the liar →](12_catch_the_liar.ipynb)
#
# **For whom?** For you, if you ask how many promises a second a store can settle, or which
# store to take. You know [the page about backends](../05_same_code_any_backend.ipynb).
# **It takes** about 25 minutes. **Afterwards you can** say what an acknowledged settle
# costs, why 64 callers are faster than one, and count it yourself, in SQLite and in PostgreSQL.
#
# The price of *durable* is one system call: **fsync**. It asks the disk to have really
# written what it was given, and returns when it has. Until then nobody may be told "done".
# On this page we count them.

# %%
# %load_ext dp_core.notebook
# %scratch
import os
import secrets
import subprocess
import sys
import time

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check

RUN = secrets.token_hex(3)
fleet = Fleet("ann", "ben")
await fleet.start()

# %% [markdown]
# ## 1. A thousand settlers, one promise
#
# Two processes, five hundred tasks in each, and all of them settle the *same* promise, each
# with a value of its own. The program is a file, because it will run on two stores.

# %%
# %%writefile crowd.py
from collections import Counter

import anyio

import dp_core as dp


async def settle_one(url, id, name, settlers):
    """Let so many tasks settle one promise at once, and count what they are told."""
    told = Counter()

    async def settler(number):
        won = await promise.resolve(f"{name}-{number}")
        told[won.value] += 1

    async with dp.connect(url) as promises:
        promise = promises.promise(id)
        async with anyio.create_task_group() as group:
            for number in range(settlers):
                group.start_soon(settler, number)
    return ", ".join(f"{n} are told {value!r}" for value, n in told.items())


# %%
ONE = f"one-{RUN}"
SQLITE = "sqlite:./promises.db"
winners = Question(
    "A thousand settle the promise at once, in two processes. What are they told?",
    one="all thousand the same value",
    own="each their own value, and the last one stays",
    two="all of a process the same, but each process another one",
)
winners

# %%
# %predict winners

# %% tags=["varies"]
# %%on ann ben --with SQLITE ONE --out crowds
import crowd
from dp_core.notebook import process_name

print(await crowd.settle_one(SQLITE, ONE, process_name(), 500))

# %%
told = {result.text for result in crowds.values()}
winners.compare(
    one=len(told) == 1, own=any("," in text for text in told), two=len(told) == 2
)

# %% [markdown]
# **What happened.** One settle took effect, and 999 were told. They are told in a crowd, too:
# who comes while the store is at work waits for the next round, and a round reads the promise
# once for all who are in it.

# %% [markdown]
# ## 2. One caller
#
# Now each settle is of a promise of its own, so that each has something to write. How many
# fsyncs is that? SQLite lets a program put something between itself and the disk (a *VFS*).
# Ours passes everything on, and writes down when each fsync began, and when it ended. This
# is a program of its own, in which nothing else runs.

# %%
# %%writefile measure.py
"""python measure.py STORE CALLERS SETTLES: settle promises, and draw the fsyncs."""

import asyncio
import secrets
import sys
import time

import apsw

import dp_core as dp

SYSTEM = apsw.vfs_names()[0]  # what SQLite uses by itself
FSYNCS, TOLD = [], []


class CountedFile(apsw.VFSFile):
    def __init__(self, name, flags):
        super().__init__(SYSTEM, name, flags)

    def xSync(self, flags):
        begin = time.monotonic()
        super().xSync(flags)
        FSYNCS.append((begin, time.monotonic()))


class CountedDisk(apsw.VFS):
    def __init__(self):
        super().__init__("counted", SYSTEM, makedefault=True)

    def xOpen(self, name, flags):
        return CountedFile(name, flags)


async def settle(store, callers, settles):
    left = iter(range(settles))

    async def caller():
        for number in left:
            await promises.promise(f"{prefix}-{number}").resolve(number)
            TOLD.append(time.monotonic())

    async with dp.connect(store) as promises:
        prefix = secrets.token_hex(4)
        await promises.promise(prefix).resolve()  # opens the store
        FSYNCS.clear()
        begun = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return settles / (time.monotonic() - begun), FSYNCS[:]


def draw(fsyncs, rows=10, columns=12):
    shown = fsyncs[:rows]
    start, scale = shown[0][0], columns / (shown[-1][1] - shown[0][0])
    for n, (begin, end) in enumerate(shown):
        after = fsyncs[n + 1][1] if n + 1 < len(fsyncs) else float("inf")
        left, right = round((begin - start) * scale), round((end - start) * scale)
        bar = " " * left + "█" * max(1, right - left)
        print(f"fsync {n + 1:2} {bar:{columns + 1}} ", end="")
        print("●" * sum(end <= told < after for told in TOLD))


disk = CountedDisk()
store, callers, settles = sys.argv[1:]
rate, fsyncs = asyncio.run(settle(store, int(callers), int(settles)))
if fsyncs:
    draw(fsyncs)
print(f"{settles} settles, {rate:,.0f} a second,", len(fsyncs), "fsyncs of SQLite")


# %%
def measure(store, callers, settles):
    command = [sys.executable, "measure.py", store, str(callers), str(settles)]
    return subprocess.check_output(command, text=True).splitlines()


# %% [markdown]
# One caller settles 64 promises, one after another. A dot is a caller who is told "done".

# %% tags=["varies"]
alone = measure(SQLITE, callers=1, settles=64)
print(*alone, sep="\n")

# %% [markdown]
# **What happened.** Look at the picture: an fsync, a dot, an fsync, a dot. Each caller is told
# at once when the disk has answered. Nobody waits for others to come, and nothing is delayed:
# this is as fast as the disk can be asked by one who asks for one thing at a time.

# %% [markdown]
# ## 3. Sixty-four callers
#
# Now ten times as many settles, 640, by 64 callers at once. Each of them waits for "done"
# before it goes on with its next promise.

# %%
together = Question(
    "640 settles, by 64 callers at once. How often is the log fsynced?",
    each="640 times: each settle must be durable, and each pays for itself",
    few="some ten times: those who come together share one",
    once="once, at the end",
)
together

# %%
# %predict together

# %% tags=["varies"]
shared = measure(SQLITE, callers=64, settles=640)
print(*shared, sep="\n")

# %%
fsyncs = int(shared[-1].split()[-4])
together.compare(each=fsyncs >= 640, few=1 < fsyncs < 320, once=fsyncs == 1)

# %% [markdown]
# **What happened.** Each row has a crowd of dots. While the disk is at work on one fsync, the
# others come and gather. When it is done, all who have gathered are written as *one*
# transaction, with one fsync, and are told together. Databases call that **group commit**.
#
# So the busier a store is, the larger its groups, and the less a settle costs. And nobody
# is told a moment too early: between a caller and its dot there is always an fsync.

# %% [markdown]
# ## 4. The same on PostgreSQL
#
# All that was SQLite on one disk. A PostgreSQL server has its own log, and its own fsyncs,
# which it counts itself. If you have one, say where, here or in the variable
# `LESSON_POSTGRESQL` before you start Jupyter. The promises of this page go into a schema of
# their own, which is dropped at the end.

# %%
POSTGRESQL = os.environ.get("LESSON_POSTGRESQL", "postgresql://localhost/postgres")
STORE = f"{POSTGRESQL}?schema=lesson_{RUN}"

try:
    async with dp.connect(f"{STORE}&retry=0.1") as promises:
        await promises.promise("is-it-there").peek()
    import psycopg

    is_there = True
    print("PostgreSQL is there.")
except dp.DurablePromiseError as error:
    is_there = False
    print(
        "No PostgreSQL can be reached, so this section is left out. Everything else runs."
    )
    print("What it said:", error)

# %% [markdown]
# The thousand once more. Only the URL differs.

# %% tags=["varies"]
# %%on ann ben --with STORE ONE is_there --out elsewhere
import crowd

if is_there:
    print(await crowd.settle_one(STORE, ONE, process_name(), 500))

# %% [markdown]
# And the 640 settles by 64 callers. The server's processes report what they have counted
# when they end, so we wait until they have.

# %%
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND usename = user
"""


def server_fsyncs():
    """Return how often the server has fsynced its log since it counts."""
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        while connection.execute(OTHERS).fetchone()[0]:
            time.sleep(0.02)
        if connection.info.server_version < 180000:
            query = "SELECT wal_sync FROM pg_stat_wal"
        else:
            query = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
        return int(connection.execute(query).fetchone()[0])


# %%
alike = Question(
    "The same 640 settles by 64 callers. How often does PostgreSQL fsync its log?",
    each="640 times: the callers are told one by one, so they cannot share",
    few="some ten times, like SQLite",
    once="once, at the end",
)
alike

# %%
# %predict alike

# %% tags=["varies"]
count = 0
if is_there:
    before = server_fsyncs()
    served = measure(STORE, callers=64, settles=640)
    count = server_fsyncs() - before
    print(served[-1].replace("0 fsyncs of SQLite", f"{count} fsyncs of the server"))

# %%
alike.compare(each=count >= 640, few=1 < count < 320, once=count == 1)

# %% [markdown]
# **What happened.** It is one and the same code: the library gathers the callers of a process
# into one transaction, whatever database it is. PostgreSQL adds a second group commit of its
# own, among the transactions of *different* processes and machines, which SQLite has not: there
# each process writes in its turn.
#
# So which one? One machine: SQLite, and as many tasks in one process as you like. Many
# machines: PostgreSQL. And if a store seems slow, first ask whether you ask it for one thing
# at a time.

# %%
if is_there:
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA lesson_{RUN} CASCADE")

# %% [markdown]
# ## Check

# %%
assert len(told) == 1
assert {text.partition(" ")[0] for text in told} == {"500"}
assert int(alone[-1].split()[-4]) >= 64
assert 1 < fsyncs < 320
if is_there:
    assert len({result.text for result in elsewhere.values()}) == 1
    assert 1 < count < 320
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** An fsync of your disk takes 4 milliseconds. How many seconds do 1,000 settles take at
# least, by *one* caller, and by 100 callers at once? Write two numbers, as in `[10, 1]`.
#
# <details><summary>Hint</summary>One caller: a thousand fsyncs. A hundred callers: if a
# hundred settles share one, there are ten.</details>

# %%
answer_1 = ...
check(answer_1, Sealed("row.0ce5.a3ec5694.1a1ca4cb"), "Count the fsyncs, times 0.004.")

# %% [markdown]
# **2.** One caller alone settles one promise. How many milliseconds does the library wait for
# others to come, so that they can share the fsync?
#
# <details><summary>Hint</summary>Look at the first picture again, between the dots and the
# fsyncs.</details>

# %%
answer_2 = ...
check(
    answer_2,
    Sealed("one.def2.60cda8d0"),
    "A group is what has come while the disk was busy.",
)

# %% [markdown]
# **3.** A colleague makes it faster: callers are told when the row is written, *before* the
# fsync. Which of these is still true after a power cut: `"what was acknowledged is there"`,
# `"all who were told the outcome were told the same"`, or `"neither"`?
#
# <details><summary>Hint</summary>After the cut the promise may be pending again. What will
# the next settler be told, and what were those told who asked before?</details>

# %%
answer_3 = ...
check(
    answer_3,
    Sealed("one.a6c1.4ebcc916"),
    "Somebody was told a value, and then somebody else settles anew.",
)

# %% [markdown]
# [← Many at once](10_many_at_once.ipynb) · [all pages](../00_start_here.ipynb) · [next: Catch the liar →](12_catch_the_liar.ipynb)
