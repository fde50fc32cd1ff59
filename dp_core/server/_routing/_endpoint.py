"""`Endpoint`: a row of the table by which requests are routed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, final

from dp_core._errors import DurablePromiseError
from dp_core.server._routing._about import About
from dp_core.server._routing._admitted import AdmittedRequest
from dp_core.server._routing._response import Response, json_failure
from dp_core.wire import ENVELOPE_BYTES

__all__ = ["JSON", "Body", "Endpoint"]

S = TypeVar("S")


def _one_value(largest: int) -> int:
    return largest + ENVELOPE_BYTES


@final
@dataclass(frozen=True, slots=True)
class Body:
    """
    A rule for the bodies of requests.

    Attributes:
        media_type: Their type; an empty body needs none.
        longest: Returns how many bytes one may have, given the largest value that the
            server takes.
    """

    media_type: str = "application/json"
    longest: Callable[[int], int] = _one_value


JSON: Final = Body()
"""The body of a request about one promise."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[S]):
    """
    A row that says what a method does at a path.

    What is not said here is not done: a path without a row is answered 404, a method
    without one 405, and OPTIONS and HEAD are methods like others.

    Attributes:
        methods: The methods.
        path: The path. A segment ``{name}`` is a parameter, which stands for any one
            segment, of any characters, also none.
        answer: Returns the response, given what the app's answers share; None where it
            was sent by the request's own channel.
        body: The rule for the body; None where none is read.
        asks_for_token: Whether the sender must show what it may do, by a bearer token,
            where the server asks for tokens.
        rights: Rights that it takes, whatever the promise; calls have theirs besides.
        is_page: Whether it is for people, who may open it from anywhere. Of a form,
            `answer` asks `Guard.check_form`, as there may be a token in it.
        streams: Whether it answers piece by piece, for as long as it takes.
        is_probe: Whether machines ask it every few seconds; observers are told nothing.
        fail: Returns the response that says a failure: in the wire's form for programs,
            as a page for people.
        about: What the description of the server says about it; None for what is there
            for browsers.
    """

    methods: tuple[str, ...]
    path: str
    answer: Callable[[S, AdmittedRequest], Awaitable[Response | None]]
    body: Body | None = JSON
    asks_for_token: bool = True
    rights: frozenset[str] = frozenset()
    is_page: bool = False
    streams: bool = False
    is_probe: bool = False
    fail: Callable[[DurablePromiseError], Response] = json_failure
    about: About | None = None
