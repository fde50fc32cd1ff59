"""
A Celery task whose result is a promise: kept, and waited for by whoever knows its id.

    celery -A celery_worker worker --concurrency 2
    python celery_worker.py 84 2
"""

import sys
from pathlib import Path

from celery import Celery

import dp_core.sync as dp

# A broker without a server, for one machine: a directory. Put the URL of your own here.
Path("queue").mkdir(exist_ok=True)
app = Celery("celery_worker", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue"},
    task_acks_late=True,  # a job whose process is killed is run again
    task_reject_on_worker_lost=True,
    task_ignore_result=True,  # the promise keeps it
)


@app.task
def divide(dividend: int, divisor: int, id: str) -> None:
    promise = dp.durable_promise(id, type=float)
    try:
        promise.resolve(dividend / divisor)
    except ArithmeticError as error:
        promise.reject(str(error))


def ask(dividend: int, divisor: int, patience: float = 60) -> float:
    """Return the result; whoever asks the same, now or later, shares it."""
    promise = dp.durable_promise(f"divide-{dividend}-{divisor}", type=float)
    while True:
        if promise.peek() == dp.Pending():
            divide.delay(dividend, divisor, promise.id)
        try:
            return promise.get(timeout=patience)
        except dp.PromiseTimeoutError:
            pass  # A queue may lose a job when a worker is killed: put it in again.


if __name__ == "__main__":
    try:
        print(ask(*map(int, sys.argv[1:])))
    except dp.PromiseRejectedError as error:
        sys.exit(f"failed: {error.error}")
