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
# # Catch the liar
#
# [← A thousand settlers](11_a_thousand_settlers.ipynb) · [all pages](../00_start_here.ipynb) · [next: A link and a callback →](13_a_link_and_a_callback.ipynb)
#
# **For whom?** For you, if you write a backend, or have to believe in somebody else's. You have
# read [Build your own](../06_build_your_own.ipynb). **It takes** about 40 minutes. **Afterwards
# you can** find out what is wrong with a backend that works, name the promise that it breaks,
# and hand a suspect to a colleague.
#
# A backend makes six promises. Each has a word here, and laws of the conformance kit that try
# to break it.

# %%
# %load_ext dp_core.notebook
# %scratch
from dp_core.notebook import Fleet, Question, Sealed, check

PROMISES = {
    "first": "the first outcome wins, and whoever comes later is told it",
    "kept": "what was acknowledged is there after a restart, and is still the first",
    "apart": "what differs stays apart: ids and values come back as they were given",
    "woken": "who waits gets the outcome, wherever the wait and the settle meet",
    "fresh": "after a disposal the promise is a new one, and no news cross over",
    "whole": "whoever cancels an operation leaves a whole state",
}

# %% [markdown]
# ## An honest one
#
# This backend keeps all six. It lives in memory, so that it is short: a `Store` is what all
# handles share, and when the last handle is closed, nothing is left of it but its log. Read it
# well. All five suspects are derived from it.

# %%
# %%writefile honest.py
import anyio
from anyio.lowlevel import checkpoint

import dp_core as dp


class Life:
    """One life of an id, until it is disposed of."""

    def __init__(self):
        self.outcome, self.gone, self.bell = None, False, anyio.Event()

    def ring(self):
        self.bell.set()
        self.bell = anyio.Event()


class Store:
    """All that is shared. When its last handle is closed, only the log is left."""

    def __init__(self):
        self.log, self.handles = [], 0

    def load(self):
        self.lives = {}
        for id, outcome in self.log:
            if outcome is None:
                del self.lives[id]
            else:
                self.life(id).outcome = outcome

    def life(self, id):
        return self.lives.setdefault(id, Life())


class Honest(dp.Backend):
    def __init__(self, store):
        self.store, self.closed = store, False
        if not store.handles:
            store.load()
        store.handles += 1

    async def begin(self):
        await checkpoint()  # a real backend would go to a thread or a socket here
        if self.closed:
            raise dp.BackendClosedError("this handle was closed")

    async def peek(self, id):
        await self.begin()
        outcome = self.store.life(id).outcome
        return dp.Pending() if outcome is None else outcome

    async def settle(self, id, outcome):
        await self.begin()
        life = self.store.life(id)
        if life.outcome is None:
            self.store.log.append((id, outcome))
            life.outcome = outcome
            life.ring()
        return life.outcome

    async def wait(self, id):
        await self.begin()
        life = self.store.life(id)
        while life.outcome is None and not life.gone:
            await life.bell.wait()
            await self.begin()
        if life.outcome is None:
            raise dp.PromiseDisposedError(id)
        return life.outcome

    async def dispose(self, id):
        await self.begin()
        life = self.store.lives.pop(id, Life())
        if life.outcome is not None:
            self.store.log.append((id, None))
        life.gone = True
        life.ring()

    async def aclose(self):
        if not self.closed:
            self.closed = True
            self.store.handles -= 1
            for life in self.store.lives.values():
                life.ring()


# %% [markdown]
# And this is the judge. It runs the kit, keeps to itself which law was broken, and shows what
# a detective needs: what was seen, and the shortest list of calls that shows it. (`a` and `b`
# are two handles; `…` is a call that goes on while others come; at the end of an id there is
# only a number, so that ids do not meet.)

# %%
# %%writefile judge.py
from dp_core.testing import LAWS, ConformanceError, Effort, check_backend

TRIED = {
    "first": ["first-completion-wins", "racing-settlers-agree", "settle-is-atomic"],
    "kept": ["outcomes-survive-reopening", "disposals-survive-reopening"],
    "apart": [
        *("ids-keep-their-case", "ids-keep-their-white-space", "ids-are-no-patterns"),
        *("ids-keep-their-normal-form", "value-text-is-kept"),
    ],
    "woken": ["no-wake-up-is-lost", "waiters-are-woken", "late-waiters-are-told"],
    "fresh": [
        *("dispose-forgets", "disposed-waiters-are-told"),
        "disposed-waiters-hear-nothing-newer",
    ],
    "whole": [
        "cancelled-settlers-leave-a-whole-state",
        "cancelled-waiters-leave-the-others",
    ],
}
QUICK = Effort(histories=8, crowd=16, volume=40, linger=0.1, patience=2)


async def judge(backend, store):
    """Return the words of the broken promises, and show how one was broken."""
    laws = [LAWS[name] for names in TRIED.values() for name in names]
    try:
        await check_backend(
            lambda: backend(store), durable=True, shared=True, laws=laws, effort=QUICK
        )
    except ConformanceError as error:
        found = min(error.violations, key=lambda violation: len(violation.history))
        print(found.reason, *found.history, sep="\n  ")
        broken = {violation.law for violation in error.violations}
        return {word for word, names in TRIED.items() if broken & {*names}}
    print("keeps all six")
    return set()


# %%
import unicodedata

from anyio.lowlevel import checkpoint
from honest import Honest, Store
from judge import judge

import dp_core as dp

honest_one = await judge(Honest, Store())

# %% [markdown]
# ## The five
#
# Each comes with what its author says of it. All of it sounds good, and all five are in use
# somewhere. Read the code, predict which promise it breaks, and let it be judged.
#
# ### Tidy
#
# *“An é may be one character, or an e and an accent, and nobody can see which. Mine takes both
# for the same id, so that nobody is confused.”*


# %%
class Tidy(Honest):
    async def peek(self, id):
        return await super().peek(self.tidied(id))

    async def settle(self, id, outcome):
        return await super().settle(self.tidied(id), outcome)

    async def wait(self, id):
        return await super().wait(self.tidied(id))

    async def dispose(self, id):
        await super().dispose(self.tidied(id))

    def tidied(self, id):
        return unicodedata.normalize("NFC", id)


# %%
tidy = Question("Which promise does Tidy break?", **PROMISES)
tidy

# %%
# %predict tidy

# %% tags=["varies"]
broken_by_tidy = await judge(Tidy, Store())

# %%
tidy.compare(**{word: word in broken_by_tidy for word in PROMISES})

# %% [markdown]
# ### Indexed
#
# *“To look at a promise only to see that it is settled is slow. Mine has a set of the ids
# that are settled, and looks there first.”*


# %%
class IndexedStore(Store):
    def load(self):
        super().load()
        self.settled = set()


class Indexed(Honest):
    async def settle(self, id, outcome):
        await self.begin()
        life = self.store.life(id)
        if id not in self.store.settled:
            self.store.settled.add(id)
            self.store.log.append((id, outcome))
            life.outcome = outcome
            life.ring()
        return life.outcome

    async def dispose(self, id):
        await super().dispose(id)
        self.store.settled.discard(id)


# %%
indexed = Question("Which promise does Indexed break?", **PROMISES)
indexed

# %%
# %predict indexed

# %% tags=["varies"]
broken_by_indexed = await judge(Indexed, IndexedStore())

# %%
indexed.compare(**{word: word in broken_by_indexed for word in PROMISES})

# %% [markdown]
# ### Swift
#
# *“A loop around a wait is for those who do not know their bell. It rings once, when there is
# something to hear. Mine needs no loop.”*


# %%
class Swift(Honest):
    async def wait(self, id):
        await self.begin()
        life = self.store.life(id)
        if life.outcome is None and not life.gone:
            await self.begin()
            await life.bell.wait()
            await self.begin()
        if life.outcome is None:
            raise dp.PromiseDisposedError(id)
        return life.outcome


# %%
swift = Question("Which promise does Swift break?", **PROMISES)
swift

# %%
# %predict swift

# %% tags=["varies"]
broken_by_swift = await judge(Swift, Store())

# %%
swift.compare(**{word: word in broken_by_swift for word in PROMISES})

# %% [markdown]
# ### Fussy
#
# *“Between the bell and the answer time passes. Mine looks once more when it is awake, so that
# it never returns what is out of date.”*


# %%
class Fussy(Honest):
    async def wait(self, id):
        await self.begin()
        life = self.store.life(id)
        while life.outcome is None and not life.gone:
            await life.bell.wait()
            await self.begin()
        now = self.store.life(id)
        if now.outcome is None and life.gone:
            raise dp.PromiseDisposedError(id)
        return now.outcome if life.outcome is None else life.outcome


# %%
fussy = Question("Which promise does Fussy break?", **PROMISES)
fussy

# %%
# %predict fussy

# %% tags=["varies"]
broken_by_fussy = await judge(Fussy, Store())

# %%
fussy.compare(**{word: word in broken_by_fussy for word in PROMISES})

# %% [markdown]
# ### Strict
#
# *“Two who settle at once are a risk. In mine a settle locks its promise, and the next one waits
# until it is done.”*


# %%
class Strict(Honest):
    async def settle(self, id, outcome):
        life = self.store.life(id)
        while hasattr(life, "owner"):
            await checkpoint()
            life = self.store.life(id)
        life.owner = self
        won = await super().settle(id, outcome)
        del life.owner
        return won


# %%
strict = Question("Which promise does Strict break?", **PROMISES)
strict

# %%
# %predict strict

# %% tags=["varies"]
broken_by_strict = await judge(Strict, Store())

# %%
strict.compare(**{word: word in broken_by_strict for word in PROMISES})

# %% [markdown]
# **What happened.** None of the five fails in a test that settles a promise and reads it again.
# The kit does what nobody does by hand: it moves one call against another step by step, so that
# they meet at every place; it cancels a call at each of its steps; it closes all handles and
# opens them again; it takes ids that look alike. And where something does not end, it gives up
# after a while and says so, and shows the calls that led there.
#
# The report is not the fault. It says *that* a promise is broken and *how to see it*; where the
# fault is, you have to find with the list of calls in one hand and the code in the other. Do
# that for each of the five before you go on. You know that you have it when you can say which
# line you would change.

# %% [markdown]
# ## The sixth, for a colleague
#
# Now you. Write a liar for a colleague: one that passes at first sight, and breaks one of the
# six. It is a file of its own, so that it can be handed over. As it is, it is honest: put your
# fault in, and run from here on.

# %%
# %%writefile sixth.py
from honest import Honest, Store


class Sixth(Honest):
    """It only looks like its parent."""

    # your change here: a method of Honest, with a fault


# %% [markdown]
# The colleague is a process of her own. She gets three files (`sixth.py`, `honest.py`,
# `judge.py`), and runs this:

# %%
colleague = Fleet("colleague")
await colleague.start()

# %% tags=["varies"]
# %%on colleague --out report
import judge
import sixth

await judge.judge(sixth.Sixth, sixth.Store())

# %% [markdown]
# Where she works, it is a test. With the kit's `BackendSuite` each law is one, on asyncio and
# on trio, and `pytest` runs them all:
#
# ```python
# import pytest
# from dp_core.testing import BackendSuite
# from sixth import Sixth, Store
#
#
# class TestSixth(BackendSuite):
#     durable = shared = True
#
#     @pytest.fixture
#     def open_backend(self):
#         store = Store()
#         return lambda: Sixth(store)
# ```

# %% [markdown]
# ## Check

# %%
assert honest_one == set()
caught = [broken_by_tidy, broken_by_indexed, broken_by_swift, broken_by_fussy]
caught.append(broken_by_strict)
assert [len(broken) for broken in caught] == [1] * 5
assert len(set.union(*caught)) == 5
await colleague.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** Which of the five would pass every test in which one task does one thing after another,
# nothing is cancelled, and no handle is opened twice? Write their names, as in
# `{"Tidy", "Strict"}`.
#
# <details><summary>Hint</summary>For each look at the list of calls that caught it: is there a
# call that goes on while another one comes, a call that was cancelled, or a new handle?</details>

# %%
answer_1 = ...
check(
    answer_1,
    Sealed("set.8576.2057ea8d.7d6deba5"),
    "One of them is caught by two plain calls in a row.",
)

# %% [markdown]
# **2.** Strict can be mended with one word of Python, a block that it lacks. Which one?
#
# <details><summary>Hint</summary>What is left undone when <code>super().settle</code> does not
# come back?</details>

# %%
answer_2 = ...
check(answer_2, Sealed("one.39a7.a0362687"), "It runs whatever happens.")

# %% [markdown]
# **3.** Hand over the sixth: it must break exactly one promise, and pass at first sight, which
# is settled, read and awaited by one who does one thing after another.
#
# <details><summary>Hint</summary>Take one sentence of the table at the top, and think of the
# line in <code>Honest</code> that keeps it. What would somebody in a hurry write
# there?</details>

# %%
import importlib

import sixth

sixth = importlib.reload(sixth)


async def at_first_sight(backend):
    """Settle, read and await a promise, one after another."""
    promise = dp.Promises(backend, "sixth:").promise("first-sight")
    told = [await promise.resolve("one"), await promise.peek(), await promise.get()]
    return told == [dp.Resolved("one"), dp.Resolved("one"), "one"]


handed_over = any(callable(value) for value in vars(sixth.Sixth).values())
attempt = await judge(sixth.Sixth, sixth.Store()) if handed_over else None
fine = attempt is not None and await at_first_sight(sixth.Sixth(sixth.Store()))
check(
    attempt,
    lambda broken: len(broken) == 1 and fine,
    "It breaks none or several, or is caught at first sight.",
)

# %% [markdown]
# [← A thousand settlers](11_a_thousand_settlers.ipynb) · [all pages](../00_start_here.ipynb) · [next: A link and a callback →](13_a_link_and_a_callback.ipynb)
