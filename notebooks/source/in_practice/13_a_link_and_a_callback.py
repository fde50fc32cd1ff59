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
# # A human approves by link, and a system is called back
#
# [← Catch the liar](12_catch_the_liar.ipynb) · [all pages](../00_start_here.ipynb)
#
# **For whom?** For you, if a person is to decide who has no program and no account, and another
# system wants to hear of it that cannot wait. You know
# [signals between systems](../07_signals_between_systems.ipynb), where programs did both.
# **It takes** about 30 minutes. **Afterwards you can** send a person a link, call a system back
# so that it knows that it was you, and say what happens if everything dies in between.
#
# Three meet at one server: `orders`, a program of ours, which waits; alice, who has a browser and
# a link; and `partner`, a system of somebody else, which is called.

# %%
# %load_ext dp_core.notebook
# %scratch
import html
import json
import re
import secrets
import shlex
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode
from urllib.request import urlopen

import dp_core as dp
from dp_core.notebook import Fleet, Question, Sealed, check, lanes

RUN = secrets.token_hex(3)
DP = f"{shlex.quote(sys.executable)} -m dp_core"

# %% [markdown]
# ## 1. One secret, and what is made of it
#
# The server has a *secret*. All that others get is made of it, and is less than it: a token
# with some rights for a day, links, and a key by which callbacks are verified. With that
# key nobody can make a token.

# %%
Path("secrets").touch(0o600)
Path("secrets").write_text(secrets.token_urlsafe(32))
RIGHTS = "create,read,list,settle"
# !{DP} token --secret-file secrets --rights {RIGHTS} --ids '*' --expires 1d > token
# !chmod 600 token
# !{DP} token --secret-file secrets --webhook-key > webhook-key
# %env DP_SECRET_FILE=secrets
# %env DP_TOKEN_FILE=token

# %% [markdown]
# ## 2. A receiver, and the server
#
# The partner believes nobody who cannot sign. The signature covers the callback's id, the time
# and the body ([Standard Webhooks](https://www.standardwebhooks.com); there are libraries). As a
# callback may come twice, the ids that were heard are in a file, which outlives the program.

# %%
# %%writefile receiver.py
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError

heard = Path("heard")
heard.touch()


class Receiver(BaseHTTPRequestHandler):
    webhook = Webhook(Path("webhook-key").read_text().split()[0])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            info = self.webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.send_response(401)
        else:
            id = self.headers["webhook-id"]
            what = "nothing to do" if id in heard.read_text() else "done"
            with heard.open("a") as file:
                print(id, info["promiseId"], info["state"], what, file=file)
            self.send_response(204)
        self.end_headers()


def receive(port):
    with HTTPServer(("127.0.0.1", port), Receiver) as server:
        print("Listening on", f"127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


# %% [markdown]
# The server's program is a file as well, because it will run twice. It is what `dp serve
# --secret-file secrets --notify-allow HOST:PORT --port PORT` runs: it calls back the hosts that
# it was told, and no others.

# %%
# %%writefile serving.py
from dp_core.server import Settings, serve


async def run(port, partner):
    settings = Settings(secret_file="secrets", notify_allow=(partner,))
    await serve("file:./promises", port=port, settings=settings, announce=announce)


def announce(line):
    if "http" in line:
        print(line, flush=True)


# %%
fleet = Fleet("server", "orders", "partner")
await fleet.start()
PORT = PARTNER_PORT = 0

# %%
# %%on partner --with PARTNER_PORT --until Listening &
import receiver

receiver.receive(PARTNER_PORT)

# %%
PARTNER = fleet.said("partner").split()[-1]
PARTNER_PORT = int(PARTNER.rpartition(":")[2])

# %%
# %%on server --with PORT PARTNER --until http &
import serving

await serving.run(PORT, PARTNER)

# %%
SERVER = fleet.said("server").split()[-1]
PORT = int(SERVER.rpartition(":")[2])
HOOK = f"http://{PARTNER}/orders"
FIRST, SECOND = f"order-17-{RUN}", f"order-18-{RUN}"

# %% [markdown]
# ## 3. A link
#
# `orders` creates a promise, with data for alice: what `choices` has, become buttons. `notify`
# says whom to call once it is settled, by whomever. Then it makes the link, and waits.

# %%
# %%writefile asking.py
from datetime import timedelta
from pathlib import Path

import dp_core as dp


async def ask(id, server, hook):
    async with dp.connect(server) as promises:
        approval = await promises.create(
            id,
            deadline=timedelta(days=3),
            data={"question": "Ship it?", "choices": ["approve", "deny"]},
            notify=[hook],
        )
        link = await promises.link(id, expires=timedelta(days=3), by="alice")
        Path(f"mail-{id}").write_text(link)
        print("alice says:", await approval)


# %%
# %%on orders --with FIRST SERVER HOOK &
import asking

await asking.ask(FIRST, SERVER, HOOK)

# %% tags=["varies"]
link = Path(f"mail-{FIRST}").read_text()
print(link)

# %% [markdown]
# Behind `token=` there are her rights, for this promise alone, signed with the secret. No list is
# kept. A browser does two things: it *gets* a page, and it *posts* what a form of it sends. Here
# they are in Python, with the page as text.


# %%
def browse(url, **fields):
    """Get a page; or post these fields, as one of its forms does."""
    try:
        answer = urlopen(url, urlencode(fields).encode() if fields else None)
    except HTTPError as refused:
        answer = refused  # a page as well
    with answer:
        return as_text(answer.read().decode())


def as_text(page):
    """Return what a page says, a button as [ button ]."""
    page = page.partition("</head>")[2]
    page = page.replace("</dt>", ": ").replace("</div>", "\n")
    page = re.sub(r"<button[^>]*>", "[ ", page).replace("</button>", " ]")
    page = re.sub(r"<input id=[^>]*>", "[              ]", page)
    lines = html.unescape(re.sub(r"<[^>]+>", "", page)).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


# %%
opened = Question(
    "Before alice reads the mail, her company's virus scanner opens the link. What then?",
    pending="nothing: the promise is pending, and the link is good for alice",
    used="the link is used up: alice finds it closed",
    settled="the promise is settled: somebody with the link has been there",
)
opened

# %%
# %predict opened

# %% tags=["varies"]
print(browse(link))

# %%
promises = dp.connect(SERVER)
scanned = await promises.promise(FIRST).peek()
for_alice = "[ approve ]" in browse(link)
opened.compare(
    pending=scanned == dp.Pending() and for_alice,
    used=scanned == dp.Pending() and not for_alice,
    settled=scanned != dp.Pending(),
)

# %% [markdown]
# **What happened.** To look changes nothing, whoever looks. Only the *post* of a button settles.
#
# **Now it is up to you.** Click the link above (if the notebook runs on your own machine), and
# press a button: then you are alice. Or leave it to the next cell, which sends what the button
# *approve* sends. The token is in the form, so it is in the request's body.


# %%
def press(link, choice):
    """Send what a button sends; return the first lines of the page that comes back."""
    page, query = link.split("?")
    [token] = parse_qs(query)["token"]
    answer = browse(page, token=token, choice=json.dumps(choice))
    return "\n".join(answer.splitlines()[:2])


print(press(link, "approve"))
answered = await fleet.join("orders", check=False)

# %% [markdown]
# ## 4. A callback
#
# The first answer counts, and everybody is told which: alice by her page, `orders` because it
# waits, and the partner because it was called. Whether it was is a promise as well, its
# *delivery*: `create` made it, and the server settles it once the partner has answered. Listings
# leave deliveries out, unless a tag asks for them.


# %%
async def delivered(id):
    """Wait until the callback about a promise was heard, and return its answer."""
    [delivery] = [info async for info in promises.list(tags={"dp.of": id})]
    return await promises.promise(delivery.id).get(timeout=60)


print("the partner has answered:", await delivered(FIRST))
print(Path("heard").read_text())

# %% [markdown]
# ## 5. All dies between the answer and the callback
#
# The same once more with another order. But now the partner is down, for maintenance.

# %%
# %%on orders --with SECOND SERVER HOOK &
await asking.ask(SECOND, SERVER, HOOK)

# %%
await fleet.kill("partner")
taken = press(Path(f"mail-{SECOND}").read_text(), "approve")
print(taken)
went_on = (await fleet.join("orders"))["orders"]

# %% [markdown]
# alice's answer was taken, and `orders` knows. The server calls, and nobody answers. Now it is
# killed, too.

# %%
await fleet.kill("server")
outage = Question(
    "Partner and server are started again. Does the partner hear of order 18?",
    once="yes, once, and nobody has to do anything for it",
    never="no: the server that had to call has forgotten it",
    click="when alice has pressed her button once more",
)
outage

# %%
# %predict outage

# %%
await fleet.restart("partner")
await fleet.restart("server")

# %%
# %%on partner --with PARTNER_PORT --until Listening &
import receiver

receiver.receive(PARTNER_PORT)

# %%
# %%on server --with PORT PARTNER --until http &
import serving

await serving.run(PORT, PARTNER)

# %%
print("the partner has answered:", await delivered(SECOND))
calls = [line for line in Path("heard").read_text().splitlines() if SECOND in line]
print(*calls, sep="\n")
outage.compare(once=len(calls) == 1, never=not calls)

# %% [markdown]
# **What happened.** The delivery was pending in the store, and the store does not die. A server
# that starts looks for pending deliveries, and makes those whose promise is settled. There is no
# queue beside the store that could say something else.
#
# *At least once* is what can be promised, and *once* is what is usual: had the server died between
# the partner's answer and the delivery's, it would call again, and the partner knows the id.
#
# Find the two crosses below, and behind them our last wait: for the delivery, which outlived both.

# %%
lanes()

# %% [markdown]
# ## Check

# %%
assert (await promises.promise(FIRST).info()).settled_by == "alice"
assert scanned == dp.Pending()
assert "Your answer was taken." in taken
assert went_on.text == "alice says: approve\n"
assert len(calls) == 1
assert calls[0].endswith("resolved done")
await promises.aclose()
await fleet.stop()
print("All true.")

# %% [markdown]
# ## Exercises
#
# **1.** Somebody steals the file `webhook-key` from the partner. What can the thief do: `"make
# links"`, `"forge callbacks"` or `"settle promises"`?
#
# <details><summary>Hint</summary>The key signs and verifies one kind of thing. The server makes its
# tokens and links of something else.</details>

# %%
answer_1 = ...
check(answer_1, Sealed("one.7745.6cdf5bbd"), "What was this key made for?")

# %% [markdown]
# **2.** A partner does its work, and is killed just before it answers. It is started again. How many
# callbacks does it get in all, and how many times may it do the work? Write two numbers, as in
# `[5, 5]`.
#
# <details><summary>Hint</summary>The server has heard no answer, so what must it assume? And what has
# the partner taken down?</details>

# %%
answer_2 = ...
check(answer_2, Sealed("row.2fec.c53cdf90.03b8de73"), "Who got no answer asks again.")

# %% [markdown]
# **3.** mallory has read along, and sends the partner two callbacks within a minute: one that
# has been made, word for word, and the same with another id of a promise in it. Which statuses
# does she get? Look into `receiver.py`, and write two numbers, as in `[500, 500]`.
#
# <details><summary>Hint</summary>The signature says who wrote it, and that nobody has changed it.
# It does not say that it comes for the first time: that is what the id is for.</details>

# %%
answer_3 = ...
check(answer_3, Sealed("row.089f.7617f256.016d6a62"), "Follow both through do_POST.")

# %% [markdown]
# [← Catch the liar](12_catch_the_liar.ipynb) · [all pages](../00_start_here.ipynb)
