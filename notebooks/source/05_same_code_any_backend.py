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
# # The same code on any backend
#
# [← Example 3](04_example3.ipynb) · [all pages](00_start_here.ipynb) · [next: Build your own →](06_build_your_own.ipynb)
#
# Your code names a *store URL*. What stands behind it is a *backend*. This notebook
# runs one and the same cell on three of them, and then looks at what each of them can
# and cannot promise:
#
# | URL | the promises live | shared by | survive |
# |---|---|---|---|
# | `memory:` | in this process | its threads and event loops | nothing |
# | `file:./promises` | in a directory | the processes of one machine | crashes and power cuts |
# | `http://host:8080` | behind a server | everybody who can reach it | what the server's store survives |
#
# The last one is not a third kind of store. It is a way to another one. Two more stand in
# the same place, for those who settle much or have several machines. They need a driver
# (`make lab` has installed it): `sqlite:./promises.db` and `postgresql://user@host/database`.

# %%
# %load_ext dp_core.notebook
# %scratch
import asyncio
import json
import secrets

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check

RUN = secrets.token_hex(3)

# %% [markdown]
# Which backends are installed? A backend is a plugin; its name is the URL's scheme, the
# word before the first colon. Behind it stands the package that brings it, as one enters it
# behind `pip install`.

# %%
dp.installed_schemes()

# %% [markdown]
# ## A server, started from here
#
# `server` is a process like any other. What it runs is what `dp serve --port 0` runs:
# an HTTP server over a file store, on a port that is free. It does so in the background
# (`&`); the page goes on as soon as the server has printed its address (`--until http`).

# %%
fleet = Fleet("server", "alice")
await fleet.start()
PORT = 0  # any that is free

# %%
# %%on server --with PORT --until http &
from dp_core.server import serve


def announce(line):
    if "http" in line:
        print(line, flush=True)


await serve("file:./promises", port=PORT, announce=announce)

# %%
SERVER = fleet.said("server").split()[-1]
PORT = int(SERVER.rpartition(":")[2])
print(SERVER)

# %% [markdown]
# ## One cell of code
#
# This function knows nothing about backends. It is [example 1](02_example1.ipynb) in five
# lines.


# %%
async def story(id, url):
    promise = dp.durable_promise(id, url)
    before = await promise.peek()
    waiting = asyncio.create_task(promise.get())
    won = await promise.resolve({"text": "hello", "count": 3, "nothing": None})
    late = await promise.reject("too late")
    return before, won, late, await waiting


# %%
same = Question(
    "The cell below runs it on memory, file and HTTP. What do the three runs return?",
    same="three times the same",
    text="the HTTP one returns text instead of Python values",
    found="the HTTP one finds the promise of the file run, and begins with Resolved",
)
same

# %%
# %predict same

# %%
URLS = ["memory:", f"file:./promises-{RUN}", SERVER]
STORY = f"story-{secrets.token_hex(3)}"  # one id for all three
told = {url: await story(STORY, url) for url in URLS}
for url, what in told.items():
    print(url.replace(RUN, "…"), *what, sep="\n    ")
first, *others = told.values()
same.compare(
    same=all(other == first for other in others),
    text=isinstance(told[SERVER][-1], str),
    found=isinstance(told[SERVER][0], dp.Resolved),
)

# %% [markdown]
# **What happened.** `peek`, `get`, `resolve` and `reject` mean the same everywhere. That is
# not a promise of this notebook; every backend is held to it by one conformance kit
# (`dp_core.testing`, see [the next page](06_build_your_own.ipynb)). The id was the same, but
# no run found the promise of another one: each has a store of its own, and the server's is
# another directory.

# %% [markdown]
# ## Who shares what?
#
# Now the notebook resolves one promise on each store, and **alice**, another process,
# peeks.

# %%
sharing = Question(
    "On which stores does alice see the value?",
    all="on all three",
    two="on file and HTTP, not on memory",
    http="on HTTP only",
)
sharing

# %%
# %predict sharing

# %%
SHARED = f"shared-{RUN}"
for url in URLS:
    await dp.durable_promise(SHARED, url).resolve("hello alice")

# %%
# %%on alice --with SHARED URLS --out seen
import dp_core as dp

for url in URLS:
    print(type(await dp.durable_promise(SHARED, url).peek()).__name__)

# %%
found = dict(zip(["memory", "file", "HTTP"], seen.text.split(), strict=True))
print(found)
shared = {name for name, state in found.items() if state == "Resolved"}
sharing.compare(
    all=shared == set(found), two=shared == {"file", "HTTP"}, http=shared == {"HTTP"}
)

# %% [markdown]
# **What happened.** `memory:` is a different place in every process. It is right for
# tests, and for programs of one process; it is not a way to talk to others.

# %% [markdown]
# ## Plain curl
#
# The wire is small: a POST, JSON in, JSON out. Any language can take part, and a shell
# too. This is what we are going to send:

# %%
WIRE = f"wire-{RUN}"
ASK = json.dumps({"promiseId": WIRE})
TELL = json.dumps({"promiseId": WIRE, "value": "from curl"})
print(ASK, TELL, sep="\n")

# %% [markdown]
# A line that begins with `!` goes to the shell, with the variables that stand in braces.
# First the shell peeks. `null` means pending (the value null would be `{"value": null}`).

# %%
# !curl -s {SERVER}/promise/peek -H 'content-type: application/json' -d '{ASK}'

# %% [markdown]
# Then it resolves, and is told the outcome:

# %%
# !curl -s {SERVER}/promise/resolve -H 'content-type: application/json' -d '{TELL}'

# %% [markdown]
# Python sees the same promise:

# %%
value = await dp.durable_promise(WIRE, SERVER)
print(value)

# %% [markdown]
# ## The server dies while somebody waits
#
# alice waits over HTTP. The server is killed, with -9. Then it is started again, on the
# same port and the same store.

# %%
OUTAGE = f"outage-{RUN}"

# %%
# %%on alice --with OUTAGE SERVER &
print("got:", await dp.durable_promise(OUTAGE, SERVER))

# %%
outage = Question(
    "What does alice see of it?",
    error="an error: connection lost; she has to try again",
    later="no error: her client tries again, and she gets the value a little later",
    forgotten="her wait is forgotten, and she waits for ever",
)
outage

# %%
# %predict outage

# %%
await fleet.kill("server")
await fleet.restart("server")

# %%
# %%on server --with PORT --until http &
from dp_core.server import serve


def announce(line):
    if "http" in line:
        print(line, flush=True)


await serve("file:./promises", port=PORT, announce=announce)

# %% tags=["varies"]
await dp.durable_promise(OUTAGE, SERVER).resolve("after the outage")
reply = (await fleet.join("alice", check=False))["alice"]
outage.compare(error=bool(reply.error), later=reply.text == "got: after the outage\n")

# %% [markdown]
# **What happened.** alice's client lost its connection, said so, and asked again until
# somebody answered. That is safe because asking changes nothing. A settle can be repeated
# too, because the first one wins. The promise itself was never in danger: it is in the
# server's file store, which does not need the server to be alive.

# %% [markdown]
# ## What each can and cannot promise
#
# | | `memory:` | `file:` | `sqlite:` | `postgresql:` | `http:` |
# |---|---|---|---|---|---|
# | first settle wins | yes | yes | yes | yes | yes |
# | survives `kill -9` of everybody | no | yes | yes | yes | as its store does |
# | survives a power cut | no | yes (`fsync`, then `link`) | yes (one commit for many) | yes | as its store does |
# | several processes | no | yes | yes | yes | yes |
# | several machines | no | no: use `dp serve` | no: use `dp serve` | yes | yes |
# | works when the server is down | no server | no server | no server | waits and retries | waits and retries |
# | a wake-up takes about | microseconds | a millisecond | a millisecond | two round trips | a round trip |
#
# What no store can promise: that somebody *will* settle the promise. For that, give it a
# deadline, at which it settles by itself ([page 09](in_practice/09_deadlines.ipynb)). With
# `get(timeout=…)` you give up waiting; the promise stays as it is.

# %% [markdown]
# ## Check

# %%
expected = {"text": "hello", "count": 3, "nothing": None}
for before, won, late, got in told.values():
    assert before == dp.Pending()
    assert won == late == dp.Resolved(expected)
    assert got == expected
assert shared == {"file", "HTTP"}
assert value == "from curl"
assert reply.text == "got: after the outage\n"
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** Which URL would you give to three programs, in three languages, on one laptop?
# Replace the dots by a scheme: `"memory"`, `"file"` or `"http"`.
#
# <details><summary>Hint</summary>The file store's format is readable by anybody, but its
# protocol (fsync, link, helping) has to be followed exactly. The wire is a POST.</details>

# %%
answer_1 = ...
check(
    answer_1,
    Sealed("one.d722.6db8b714.bc980828"),
    "What can all languages speak without our library?",
)

# %% [markdown]
# **2.** A unit test awaits a promise that its code resolves, a thousand times a second.
# Which scheme?
#
# <details><summary>Hint</summary>Nobody needs the promise after the test.</details>

# %%
answer_2 = ...
check(answer_2, Sealed("one.aae9.9f18d9dc"), "What must it keep, and for how long?")

# %% [markdown]
# **3.** `dp.connect(url)` makes a handle: an object through which you use a store. Make one,
# in a new cell, for a store that nobody here has a backend for, `"redis://localhost"`. Read
# the error, and put the name of its class in the place of the dots.
#
# <details><summary>Hint</summary>It is in the last line of what
# <code>dp.connect("redis://localhost")</code> prints.</details>

# %%
answer_3 = ...
check(answer_3, Sealed("one.5c45.557cc326"), "The name stands before the colon.")

# %% [markdown]
# [← Example 3](04_example3.ipynb) · [all pages](00_start_here.ipynb) · [next: Build your own →](06_build_your_own.ipynb)
