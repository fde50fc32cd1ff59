"""
Ask and answer: durable promises between handlers on Restate.

A handler is a function that Restate calls. After a crash Restate calls it again, and
it continues where it was. Here one handler asks a question and waits for the answer,
as long as it takes: if its process is killed meanwhile, it goes on in the next one.
Another handler gives the answer.

This needs `pip install 'durable-promises[restate]'` and, in another shell,
`dp restate up`. Then

    python examples/example4.py [port] [url-of-restate's-admin-api]

hosts the two handlers, and you can ask and, from yet another shell, answer:

    curl localhost:8080/qna/ask --json '"what is the answer?"'
    curl localhost:8080/qna/answer \
         --json '{"questionId": "what is the answer?", "answer": "42"}'

The question is a promise like any other, and so this answers it as well:

    dp --url http://localhost:8080 resolve --text 'what is the answer?' 42
"""

from __future__ import annotations

import asyncio
import sys
from typing import TypedDict

import restate

import dp_core as dp
from dp_backends.restate import durable_promise, serve

qna = restate.Service("qna")


class Answer(TypedDict):
    """The answer to a question."""

    questionId: str
    answer: str


@qna.handler()
async def ask(ctx: restate.Context, question_id: str) -> dict[str, str]:
    """Wait for the answer to the question with this id."""
    return {"answer": await durable_promise(question_id, ctx, str)}


@qna.handler()
async def answer(ctx: restate.Context, given: Answer) -> None:
    """Answer a question; the first answer counts."""
    await durable_promise(given["questionId"], ctx, str).resolve(given["answer"])


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9081
    admin = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:9070"
    try:
        asyncio.run(serve([qna], port=port, register=admin))
    except dp.DurablePromiseError as error:
        sys.exit(str(error))
