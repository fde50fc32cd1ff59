"""
`check_wire`: tries the laws on any HTTP server that speaks the wire.

The package contains 41 recorded exchanges with the reference, restate-server
1.7 running Restate's own example. Each is a law: a server gives the same
response to the same request, as far as a client can tell. Where our server is
more precise than the reference, either response is right.

`check_wire` tries these laws, and the laws of backends through a client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, final
from urllib.parse import unquote, urlsplit

import anyio
from anyio import to_thread

from dp_core.testing._check import check_backend
from dp_core.testing.kit import (
    Effort,
    IsThere,
    Law,
    LawBrokenError,
    LawContext,
    OpenBackend,
    Progress,
    Report,
)
from dp_core.testing.laws import LAWS

__all__ = ["CASES", "Exchange", "check_wire", "wire_law"]

_CONTRACT: Final = "The wire is that of Restate's example."
_HELD: Final = 1.0
_HEAD_STARTS: Final = (0.3, 1.0, 3.0)


async def check_wire(  # noqa: PLR0913 - all but two have a name
    url: str,
    open_backend: OpenBackend,
    *,
    durable: bool = False,
    skip: Collection[str] = (),
    effort: Effort | None = None,
    seed: int | None = None,
    headers: Mapping[str, str] | None = None,
    is_there: IsThere | None = None,
    own_process: bool = False,
    progress: Progress | None = None,
) -> Report:
    """
    Try every law on a server: those of its wire, and those of backends.

    Args:
        url: The server's URL. It need not be empty: all ids are new ones.
        open_backend: Opens a client of it that is a `dp_core.Backend`.
        durable: Whether the server keeps promises when all clients have left.
        skip: Names of laws to leave out; the report says so.
        effort: The amount of work that goes into breaking a law.
        seed: The seed of an earlier run, to repeat its random choices.
        headers: Sent with every request, such as a token.
        is_there: Asked when a law is broken; a server that is gone is not judged.
        own_process: Whether this process is there for the laws alone; see
            `check_backend`.
        progress: Told before each law its number, how many there are, and its name.

    Returns:
        The report, where every law holds.

    Raises:
        ConformanceError: The server breaks laws.
        StoreGoneError: The server is not there any more, as *is_there* tells.
        ValueError: *skip* names a law that does not exist.
    """
    recorded = [wire_law(name, url, headers) for name in CASES]
    return await check_backend(
        open_backend,
        durable=durable,
        shared=True,
        skip=skip,
        laws=[*LAWS.values(), *recorded],
        effort=effort,
        seed=seed,
        is_there=is_there,
        own_process=own_process,
        progress=progress,
    )


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
    text = files(__package__).joinpath("restate-wire.json").read_text("utf-8")
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
    check = partial(_replay, _RawClient(url, headers or {}), name)
    return Law(name, sentence, _CONTRACT, check)


async def _replay(client: _RawClient, name: str, context: LawContext) -> None:
    exchange = CASES[name]
    for head_start in _HEAD_STARTS:
        conversation = _Conversation(client, context.id("-"))
        for earlier in _before(exchange):
            await conversation.exchange(earlier)
        if name in _MEANWHILE or name in _MEANWHILE.values():
            wrong = await _overlap(conversation, name, head_start)
        elif exchange.status is None:
            wrong = await _holds(conversation, exchange)
        else:
            wrong = _difference(exchange, await conversation.exchange(exchange))
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


async def _holds(conversation: _Conversation, exchange: Exchange) -> str:
    answer = await conversation.exchange(exchange, timeout=_HELD)
    return "" if answer is None else f"it was not held, but answered: {answer}"


async def _overlap(conversation: _Conversation, name: str, head_start: float) -> str:
    """Let one request wait while another ends its wait; judge the one of *name*."""
    ends = {ended: waits for waits, ended in _MEANWHILE.items()}
    waiting = CASES[ends.get(name, name)]
    ending = CASES[_MEANWHILE.get(name, name)]
    answers: dict[str, _WireResponse | None] = {}

    async def ask(exchange: Exchange) -> None:
        answers[exchange.case] = await conversation.exchange(exchange)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, waiting)
        await anyio.sleep(head_start)
        tasks.start_soon(ask, ending)
    return _difference(CASES[name], answers[CASES[name].case])


def _difference(exchange: Exchange, answer: _WireResponse | None) -> str:
    """Return how *answer* differs from the recorded one; empty if it does not."""
    if answer is None:
        return "there was no answer"
    allowed = [exchange.status, _ALSO.get(exchange.case, exchange.status)]
    if answer.status not in allowed:
        wanted = " or ".join(map(str, dict.fromkeys(allowed)))
        return f"the answer is {answer}, not {wanted}"
    if answer.status != 200:
        return "" if _is_failure(answer) else f"not a failure with a message: {answer}"
    if (answer.content_type or "").split(";")[0] != (exchange.answer_type or ""):
        return f"the content type is {answer.content_type}, not {exchange.answer_type}"
    if _meaning(answer.body) != _meaning(exchange.body):
        return f"the answer is {answer.body}, not {exchange.body}"
    return ""


def _is_failure(answer: _WireResponse) -> bool:
    content = _meaning(answer.body)
    return (
        isinstance(content, dict)
        and content.get("code") == answer.status
        and isinstance(content.get("message"), str)
    )


def _meaning(body: str) -> Any:
    """Return the content of a body; ``{}`` means a value that is null."""
    try:
        content = json.loads(body) if body else ""
    except ValueError:
        return body
    return {"value": None} if content == {} else content


# HTTP -----------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class _WireResponse:
    status: int
    content_type: str | None
    body: str

    def __str__(self) -> str:
        return f"{self.status} {self.body}"


@final
@dataclass(frozen=True, slots=True)
class _RawClient:
    """A minimal HTTP client; requests run in threads of their own."""

    url: str
    headers: Mapping[str, str]

    async def ask(
        self, path: str, body: bytes | None, content_type: str | None, timeout: float
    ) -> _WireResponse | None:
        """Return the response to a POST, or None if there is none within *timeout*."""
        return await to_thread.run_sync(
            self._ask, path, body, content_type, timeout, abandon_on_cancel=True
        )

    def _ask(
        self, path: str, body: bytes | None, content_type: str | None, timeout: float
    ) -> _WireResponse | None:
        parts = urlsplit(self.url)
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = connect(parts.netloc, timeout=timeout)
        headers = dict(self.headers)
        if content_type:
            headers["Content-Type"] = content_type
        try:
            connection.request("POST", parts.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            return _WireResponse(answer.status, answer.headers["Content-Type"], text)
        except TimeoutError:
            return None
        except (OSError, HTTPException) as error:
            return _WireResponse(0, None, f"no answer: {error}")
        finally:
            connection.close()


class _Conversation:
    """Exchanges about promises whose ids start with one prefix, and their log."""

    def __init__(self, client: _RawClient, prefix: str) -> None:
        self.lines: list[str] = []
        self._client = client
        self._prefix = prefix

    async def exchange(
        self, exchange: Exchange, timeout: float = 15.0
    ) -> _WireResponse | None:
        path = exchange.path.replace("$", self._prefix)
        request = exchange.request
        if request is not None:
            request = request.replace("$", self._prefix)
        body = None if request is None else request.encode()
        answer = await self._client.ask(path, body, exchange.content_type, timeout)
        self.lines.append(f"POST {path} {request or ''} -> {answer or 'no answer'}")
        return answer
