"""`TermsCase`: what a server says that the reference does not have, as laws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, final
from urllib.parse import parse_qsl, quote, urlsplit

from dp_core._errors import DurablePromiseError, NotSupportedError
from dp_core._terms import Query, Terms
from dp_core._text import quoted
from dp_core.testing.kit import Law, LawBrokenError, LawContext
from dp_core.testing.wire._differences import differences, wrong_events
from dp_core.testing.wire._raw_client import Conversation, RawClient, WireResponse
from dp_core.wire import (
    BATCH_PATH,
    WATCH_PATH,
    Create,
    Info,
    List,
    lacks_endpoint,
    read_answer,
)

__all__ = ["MANY_CASES", "TERMS_CASES", "TermsCase", "many_law", "terms_law"]

_OF_TERMS: Final = "The wire says what its page says of terms and lists."
_OF_MANY: Final = "The wire says what its page says of batches and event streams."
_JSON: Final = "application/json"
_DEFAULT_LIMIT: Final = "100"
_PAGES: Final = 1000
"""The most pages of a listing; a page may be empty although more follows."""


@final
@dataclass(frozen=True, slots=True)
class TermsCase:
    """
    A few requests, each with what is to be answered.

    Attributes:
        case: The behaviour they show, in words.
        steps: The requests, one after the other. Each has a ``post`` or ``get`` with
            its path, maybe the content of a ``request``, the ``status`` (or several,
            each of which is right), and maybe the ``body``: members that the answer
            has, beside which it may have others. ``"<moment>"`` is any moment, and
            ``"<moment …>"`` that one, however it is written. Or it has the ``events``
            of a stream that ends: what is told of each id, once. Or a step is a
            ``list`` with a path, and the ``ids`` of all its pages. ``$`` stands for
            any prefix of ids.
    """

    case: str
    steps: tuple[Mapping[str, Any], ...]


def _read_cases(about: str) -> dict[str, TermsCase]:
    text = files(__package__).joinpath(f"{about}-wire.json").read_text("utf-8")
    cases = [
        TermsCase(entry["case"], tuple(entry["steps"])) for entry in json.loads(text)
    ]
    return {f"{about}-{'-'.join(case.case.lower().split())}": case for case in cases}


TERMS_CASES: Final[Mapping[str, TermsCase]] = MappingProxyType(_read_cases("terms"))
"""Terms and lists: ``{name of its law: case}``."""

MANY_CASES: Final[Mapping[str, TermsCase]] = MappingProxyType(_read_cases("many"))
"""Batches and event streams: ``{name of its law: case}``."""


def terms_law(name: str, url: str, headers: Mapping[str, str] | None = None) -> Law:
    """
    Return a case about terms as a law, for the server at *url*.

    A server that does not have what the case asks for is not judged by it.

    Args:
        name: A name in `TERMS_CASES`.
        url: The server's URL.
        headers: Sent with every request, such as a token.
    """
    return _law(name, TERMS_CASES[name], _OF_TERMS, RawClient(url, headers or {}))


def many_law(name: str, url: str, headers: Mapping[str, str] | None = None) -> Law:
    """Return a case about batches and streams as a law; as `terms_law`."""
    return _law(name, MANY_CASES[name], _OF_MANY, RawClient(url, headers or {}))


def _law(name: str, case: TermsCase, contract: str, client: RawClient) -> Law:
    check = partial(_replay, client, case)
    return Law(name, f"On the wire: {case.case}.", contract, check)


async def _replay(client: RawClient, case: TermsCase, context: LawContext) -> None:
    conversation = _Replay(client, context)
    for step in case.steps:
        await conversation.do(step)


@final
class _Replay:
    """The steps of one case."""

    def __init__(self, client: RawClient, context: LawContext) -> None:
        self._conversation = Conversation(client, context)
        self._context = context

    async def do(self, step: Mapping[str, Any]) -> None:
        """
        Do one step.

        Raises:
            LawBrokenError: It was not answered as it must be.
            NotJudgedError: The server does not have what it asks for.
        """
        if "list" in step:
            await self._list(step["list"], [self._named(id) for id in step["ids"]])
            return
        method = "POST" if "post" in step else "GET"
        path = step[method.lower()]
        answer = await self._ask(method, path, step.get("request"))
        statuses = step["status"]
        if answer.status not in (
            statuses if isinstance(statuses, list) else [statuses]
        ):
            raise self._broken(f"the answer is {answer}, not {statuses}")
        if answer.status >= 400:
            if not answer.is_failure:
                raise self._broken(f"not a failure with a message: {answer}")
            return
        if "events" in step:
            for wrong in wrong_events(self._named(step["events"]), answer):
                raise self._broken(wrong)
        if "body" in step:
            for wrong in differences(self._named(step["body"]), answer.content):
                raise self._broken(wrong)

    async def _list(self, path: str, wanted: list[str]) -> None:
        found: list[str] = []
        after = ""
        limit = int(dict(parse_qsl(urlsplit(path).query)).get("limit", _DEFAULT_LIMIT))
        for _ in range(_PAGES):
            answer = await self._ask("GET", path + after)
            if answer.status != 200:
                raise self._broken(f"the answer is {answer}, not 200")
            try:
                page = read_answer(List(Query()), 200, answer.body.encode())
            except DurablePromiseError as error:
                raise self._broken(f"the answer is not a page: {error}") from None
            if len(page.infos) > limit:
                raise self._broken(f"the page has more than {limit} promises")
            found += [info.id for info in page.infos]
            if page.after is None:
                break
            after = f"&after={quote(page.after, safe='')}"
        else:
            raise self._broken(f"its list does not end within {_PAGES:,} pages")
        if found != wanted:
            raise self._broken(f"the list has {found}, not {wanted}")

    async def _ask(self, method: str, path: str, request: Any = None) -> WireResponse:
        body = json.dumps(request) if method == "POST" else None
        kind = None if body is None else _JSON
        answer = await self._conversation.ask(method, path, body, kind)
        if answer is None:
            raise self._broken("there was no answer")
        if lacks := _lacks(path, answer):
            raise self._context.not_judged(
                f"the server does not have {method} {path.partition('?')[0]} ({lacks})"
            )
        return answer

    def _named(self, content: Any) -> Any:
        """Return content with the prefix of ids in place of ``$``."""
        return json.loads(json.dumps(content).replace("$", self._conversation.prefix))

    def _broken(self, reason: str) -> LawBrokenError:
        return LawBrokenError(reason, tuple(self._conversation.lines))


def _lacks(path: str, answer: WireResponse) -> str:
    """Return how a server says that it does not have an operation; empty if not."""
    if path.partition("?")[0] in (BATCH_PATH, WATCH_PATH):
        lacks = lacks_endpoint(answer.status, answer.body.encode())
        return quoted(str(answer.content["message"]), 200) if lacks else ""
    call: Create | Info | List = List(Query())
    if path == "/promise/create":
        call = Create("a", Terms())
    elif path == "/promise/info" or path.startswith("/promises/"):
        call = Info("a")
    elif not path.startswith("/promises?"):
        return ""
    try:
        read_answer(call, answer.status, answer.body.encode())
    except NotSupportedError:
        return quoted(str(answer.content["message"]), 200)
    except DurablePromiseError:
        return ""
    return ""
