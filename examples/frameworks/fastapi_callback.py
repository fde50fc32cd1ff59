"""
A request that waits for a callback, which another request brings.

The wait may end by 202, "ask again"; the callback may come twice, or after a restart.

    uvicorn fastapi_callback:app --port 8000
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response

import dp_core as dp


@dataclass
class Payment:
    amount: int
    currency: Literal["EUR", "USD"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with dp.connect() as promises:  # DP_URL, else file:./promises
        yield {"promises": promises}  # for all requests, as request.state.promises


app = FastAPI(lifespan=lifespan)
Order = Annotated[str, Path(pattern="^[A-Za-z0-9-]{1,64}$")]
Seconds = Annotated[float, Query(ge=0, le=25)]  # proxies give up after 30 or 60


@app.put("/orders/{order}")
async def pay(order: Order, request: Request, out: Response, wait: Seconds = 9) -> Any:
    late, days = dp.Rejected("the provider never called back"), timedelta(days=3)
    payment = await request.state.promises.create(  # safe to repeat: the first stands
        f"payment-{order}", Payment, deadline=days, otherwise=late
    )
    # Here the provider is asked, in a way that it can be asked twice for one order.
    try:
        return await payment.get(timeout=wait)
    except dp.PromiseTimeoutError:
        out.status_code, out.headers["retry-after"] = 202, "1"
        return {"waiting_for": order}
    except (dp.PromiseRejectedError, dp.ValueMismatchError) as error:
        raise HTTPException(409, str(error)) from None


@app.post("/callbacks/{order}")
async def called_back(order: Order, payment: Payment, request: Request) -> Any:
    promise = request.state.promises.promise(f"payment-{order}")  # whatever settled it
    if (await promise.info()).terms is None:
        raise HTTPException(404, "nobody asked for this payment")
    won = await promise.resolve(paid := asdict(payment))
    return {"accepted": won == dp.Resolved(paid)}
