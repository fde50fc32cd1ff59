"""`Exchange` and `wire_law`: what the reference answered, as laws."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, final
from urllib.parse import unquote

import anyio

from dp_core.testing.kit import Law, LawBrokenError, LawContext
from dp_core.testing.wire._raw_client import Conversation, RawClient, WireResponse

__all__ = ["CASES", "Exchange", "wire_law"]

_CONTRACT: Final = "The wire is that of Restate's example."
_HELD: Final = 1.0
_HEAD_STARTS: Final = (0.3, 1.0, 3.0)


# The recording --------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Exchange:
    """
    A request, and the response of the reference.

    Attributes:
        case: The behaviour it shows, in words.
        path: The path of the request; ``$`` stands for any prefix of ids.
        request: The body of the request, or None.
        content_type: The content type of the request, or None.
        status: The status of the response; None if none came in time.
        answer_type: The content type of the response, or None.
        body: The body of the response.
    """

    case: str
    path: str
    request: str | None
    content_type: str | None
    status: int | None
    answer_type: str | None
    body: str

    @property
    def id(self) -> str:
        """The id of the promise, as it was recorded."""
        match self.path.split("/"):
            case ["", "promises", id, _]:
                return unquote(id)
            case _ if (self.request or "").startswith("{"):
                return str(json.loads(self.request or "{}").get("promiseId", ""))
            case _:
                return ""


def _read_recording() -> dict[str, Exchange]:
    text = files("dp_core.testing").joinpath("restate-wire.json").read_text("utf-8")
    exchanges = {}
    for entry in json.loads(text):
        answer = entry["response"]
        exchange = Exchange(
            entry["case"],
            entry["path"],
            entry["request"],
            entry.get("request_content_type", entry["request"] and "application/json"),
            answer["status"],
            answer.get("content_type"),
            answer.get("body", ""),
        )
        name = "-".join(re.findall(r"[a-z0-9]+", exchange.case.lower()))
        exchanges[f"wire-{name}"] = exchange
    return exchanges


CASES: Final[Mapping[str, Exchange]] = MappingProxyType(_read_recording())
"""``{name of its law: recorded exchange}``, in the order of the recording."""

_ALSO: Final[Mapping[str, int]] = {
    "reject without errorMessage": 400,
    "missing promiseId": 400,
    "empty promiseId": 400,
    "wrong content type": 415,
    "no content type": 415,
    "the request that was awaiting when its promise was disposed": 410,
}
"""``{case: the status of our server}`` where it is more precise."""

_MEANWHILE: Final[Mapping[str, str]] = {
    f"wire-the-request-that-was-awaiting-when-its-promise-was-{how}d": (
        f"wire-{what}-while-another-request-awaits"
    )
    for how, what in (("dispose", "dispose"), ("resolve", "resolve"))
}
"""``{law of a request that waits: law of the request that ends its wait}``."""


# Its laws -------------------------------------------------------------------


def wire_law(name: str, url: str, headers: Mapping[str, str] | None = None) -> Law:
    """
    Return a recorded exchange as a law, for the server at *url*.

    Args:
        name: A name in `CASES`.
        url: The server's URL.
        headers: Sent with every request, such as a token.
    """
    sentence = f"As recorded: {CASES[name].case}."
    check = partial(_replay, RawClient(url, headers or {}), name)
    return Law(name, sentence, _CONTRACT, check)


async def _replay(client: RawClient, name: str, context: LawContext) -> None:
    exchange = CASES[name]
    for head_start in _HEAD_STARTS:
        conversation = Conversation(client, context)
        for earlier in _before(exchange):
            await _exchange(conversation, earlier)
        if name in _MEANWHILE or name in _MEANWHILE.values():
            wrong = await _overlap(conversation, name, head_start)
        elif exchange.status is None:
            wrong = await _holds(conversation, exchange)
        else:
            wrong = _difference(exchange, await _exchange(conversation, exchange))
        if not wrong:
            return
        if "disposed" not in name:
            break
    raise LawBrokenError(wrong, tuple(conversation.lines))


def _before(exchange: Exchange) -> list[Exchange]:
    """Return the earlier exchanges about the same promise."""
    earlier: list[Exchange] = []
    for other in CASES.values():
        if other is exchange:
            break
        if other.id == exchange.id and other.status == 200:
            earlier.append(other)
    return earlier


async def _exchange(
    conversation: Conversation, exchange: Exchange, timeout: float = 15.0
) -> WireResponse | None:
    return await conversation.ask(
        "POST", exchange.path, exchange.request, exchange.content_type, timeout
    )


async def _holds(conversation: Conversation, exchange: Exchange) -> str:
    answer = await _exchange(conversation, exchange, _HELD)
    return "" if answer is None else f"it was not held, but answered: {answer}"


async def _overlap(conversation: Conversation, name: str, head_start: float) -> str:
    """Let one request wait while another ends its wait; judge the one of *name*."""
    ends = {ended: waits for waits, ended in _MEANWHILE.items()}
    waiting = CASES[ends.get(name, name)]
    ending = CASES[_MEANWHILE.get(name, name)]
    answers: dict[str, WireResponse | None] = {}

    async def ask(exchange: Exchange) -> None:
        answers[exchange.case] = await _exchange(conversation, exchange)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, waiting)
        await anyio.sleep(head_start)
        tasks.start_soon(ask, ending)
    return _difference(CASES[name], answers[CASES[name].case])


def _difference(exchange: Exchange, answer: WireResponse | None) -> str:
    """Return how *answer* differs from the recorded one; empty if it does not."""
    if answer is None:
        return "there was no answer"
    allowed = [exchange.status, _ALSO.get(exchange.case, exchange.status)]
    if answer.status not in allowed:
        wanted = " or ".join(map(str, dict.fromkeys(allowed)))
        return f"the answer is {answer}, not {wanted}"
    if answer.status != 200:
        return "" if answer.is_failure else f"not a failure with a message: {answer}"
    if (answer.content_type or "").split(";")[0] != (exchange.answer_type or ""):
        return f"the content type is {answer.content_type}, not {exchange.answer_type}"
    if _meaning(answer.body) != _meaning(exchange.body):
        return f"the answer is {answer.body}, not {exchange.body}"
    return ""


def _meaning(body: str) -> Any:
    """Return the content of a body; ``{}`` means a value that is null."""
    try:
        content = json.loads(body) if body else ""
    except ValueError:
        return body
    return {"value": None} if content == {} else content
