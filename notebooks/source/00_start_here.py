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
# # Start here
#
# [next: What is a durable promise? →](01_what_is_a_durable_promise.ipynb)
#
# **For whom?** For you, if you write Python, have seen `await` once, and have ever asked
# yourself: *what if the program is killed while it waits?* You need to know nothing about
# databases or distributed systems. You need JupyterLab; this page runs in it when you enter
# `make lab`.
#
# A **promise** is *pending* until somebody *settles* it, once: it is *resolved* with a
# value, or *rejected* with an error message. A **durable promise** is kept in a *store*,
# not in a process, and outlives every process that ever used it.
#
# | page | takes about | afterwards you can |
# |---|---|---|
# | [01 What is a durable promise?](01_what_is_a_durable_promise.ipynb) | 20 min | say what survives `kill -9`, and draw the state machine |
# | [02 Example 1: peek, await, resolve, reject](02_example1.ipynb) | 15 min | peek, wait, resolve and reject, and explain who wins |
# | [03 Example 2: processes that signal each other](03_example2.ipynb) | 25 min | let processes signal each other, in any order |
# | [04 Example 3: ten processes, and `kill -9`](04_example3.ipynb) | 30 min | kill a process at any moment, and say what the others may rely on |
# | [05 The same code on any backend](05_same_code_any_backend.ipynb) | 25 min | choose a store, talk to it with curl, survive its server |
# | [06 Build your own](06_build_your_own.ipynb) | 45 min | write a backend, and find out what is wrong with one |
# | [07 Signals between systems](07_signals_between_systems.ipynb) | 35 min | let a callback, a person or a program in another language settle, and build a barrier |
# | [08 The same in a trio world](08_trio.ipynb) | 20 min | use all of it from trio |
#
# 01 to 04 build on each other; take them in this order. After them, 05 to 08 can be read
# in any order, and so can the second part, which is about practice. Who has one hour takes
# 01, 03 and 04.
#
# | in practice | takes about | afterwards you can |
# |---|---|---|
# | [09 Deadlines and late answers](in_practice/09_deadlines.ipynb) | 25 min | give a question a deadline, and say who wins when an answer is late |
# | [10 Many at once](in_practice/10_many_at_once.ipynb) | 30 min | wait for all, for the first, or for each of many, at the price of one |
# | [11 A thousand settlers](in_practice/11_a_thousand_settlers.ipynb) | 25 min | say what a settle costs, and why 64 callers are faster than one, in SQLite and PostgreSQL |
# | [12 Catch the liar](in_practice/12_catch_the_liar.ipynb) | 40 min | find out what is wrong with a backend that works, and hand a suspect to a colleague |
# | [13 A link and a callback](in_practice/13_a_link_and_a_callback.ipynb) | 30 min | let a person approve by link, call a system back, signed, and kill the server in between |

# %% [markdown]
# ## How a page works
#
# The outputs that a page has when you open it, and the numbers beside its cells, are of a
# real run before yours. They show what happened, so they give answers away. Hide
# them first: *Edit → Clear Outputs of All Cells*.
#
# Then run the cells from top to bottom, each with *Shift+Enter*. The first one loads what
# the page needs:

# %%
# %load_ext dp_core.notebook
# %scratch
import dp_core as dp
from dp_core.notebook import Question, Sealed, check

# %% [markdown]
# (The *kernel* is the process in which the cells of a page run. `%scratch` lets it work in a
# temporary directory. Whatever it writes there is gone when it ends, also if it is killed.)
#
# There are two things to do on the way, and this is where you try both.
#
# **Predict.** Before something happens, a cell asks what will, and lists the answers. Each
# has a *word*, in bold. In the cell below, write that word at the end of the line that
# begins with `%predict`, as in `%predict twice second`, and run it. Then run the next cell:
# your prediction is compared with what really happened. Whoever has predicted, rightly or
# wrongly, remembers.

# %%
twice = Question(
    "A promise is resolved with `'one'`, and then with `'two'`. Which value has it then?",
    first="`'one'`",
    second="`'two'`",
    error="none: the second `resolve` raises an error",
)
twice

# %%
# %predict twice

# %%
promise = dp.durable_promise("twice", "memory:")
try:
    await promise.resolve("one")
    await promise.resolve("two")
    value = await promise
except dp.DurablePromiseError as error:
    value = error
twice.compare(
    first=value == "one",
    second=value == "two",
    error=isinstance(value, dp.DurablePromiseError),
)

# %% [markdown]
# (`"memory:"` says where the promise is kept: here, in the memory of this process.)
#
# You may predict *after* the run as well, and be compared at once; or have it told without
# a prediction, by `twice.reveal()` in a new cell. (*Esc*, then *B*, makes one.) If you choose
# *Run All*, questions stay open and the page goes on.
#
# **Try.** At the end of each page there are exercises. Put your answer in the place of the
# dots, as Python, and run the cell. It knows the answer, but the page does not say it. Case
# and order do not matter, and it tells you which part is wrong.
#
# In which *two* states is a promise that has been settled? Write them like this:
# `{"pending", "sleeping"}`.
#
# <details><summary>Hint</summary>They are in italics at the top of this page, in the
# sentence that says what a promise is.</details>

# %%
answer = ...
check(
    answer, Sealed("set.6a0d.6c8f0417.b0ca7c6a"), "Settling is done in one of two ways."
)

# %% [markdown]
# ## What you see
#
# * Cells that begin with `%%on alice` run in **alice**, which is a process of her own with
#   her own pid; others run here, in the process of the page. Real processes are started
#   and really killed; all of them end with the page.
# * In such a line, `--with ID URL` sends alice these two variables of the page, `--out reply`
#   puts what came of the cell into a variable of the page, and `&` at the end runs it in the
#   background: the page goes on as soon as alice waits for a promise, or has printed the
#   word that `--until` names.
# * A cell that waits says for whom. The button ■ above the page ends the wait, and leaves the
#   promise as it is.
# * Each page ends in a check of what it has shown:

# %%
assert value == "one"
print("All true.")

# %% [markdown]
# ## If you are stuck
#
# * *`%predict` not found*, or *name is not defined*: the kernel is a new one, and knows
#   nothing of the cells that you have run. Begin with the first cell again.
# * *Something is settled already*, or the check at the end fails: you have run a cell twice.
#   It has met the promise of the first time. The first cell makes new ids; begin with it again.
# * Nothing goes on: *Kernel → Restart Kernel…* ends all processes of the page. Your
#   predictions stay where you wrote them.

# %% [markdown]
# [next: What is a durable promise? →](01_what_is_a_durable_promise.ipynb)
