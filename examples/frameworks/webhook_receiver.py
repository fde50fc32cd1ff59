"""
A receiver of webhooks, signed as GitHub and many others sign theirs.

    WEBHOOK_SECRET=... uvicorn webhook_receiver:app --port 8000
"""

import hmac
import os
from html import escape
from typing import Annotated, Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

import dp_core as dp

SECRET = os.environ["WEBHOOK_SECRET"].encode()
if len(SECRET) < 16:
    raise SystemExit("WEBHOOK_SECRET can be guessed: take random letters, 16 or more")
Order = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]
promises = dp.connect()  # DP_URL, else file:./promises; open as long as the process


class Event(msgspec.Struct):
    order: Order
    status: Literal["paid", "failed"]
    note: str = ""


async def receive(request: Request) -> Response:
    body = b""
    async for chunk in request.stream():
        if len(body := body + chunk) > 65536:
            return Response(status_code=413)
    right = "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest()
    given = request.headers.get("x-hub-signature-256", "")
    if not hmac.compare_digest(right.encode(), given.encode()):  # in constant time
        return Response(status_code=401)
    event = msgspec.json.decode(body, type=Event)
    promise = promises.promise(f"payment-{event.order}")
    await (promise.resolve if event.status == "paid" else promise.reject)(event.note)
    return Response(status_code=204)  # it is durable by now: this one, or an earlier


async def show(request: Request) -> Response:
    order = msgspec.convert(request.path_params["order"], Order)
    state = await promises.promise(f"payment-{order}").peek()
    return HTMLResponse(f"<!doctype html><p>{escape(str(state))}</p>")


async def refuse(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


app = Starlette(exception_handlers={msgspec.DecodeError: refuse})
app.add_route("/webhooks", receive, methods=["POST"])
app.add_route("/orders/{order}", show)
