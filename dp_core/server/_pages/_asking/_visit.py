"""
`Visit`: a person's request for a page, or from a form of one; `visited` answers it.

The rules are those of every request; but a token may come in a link, in a form, or in a
cookie, and a failure is a page. GET and HEAD look, and change nothing: scanners of
mails open what they like.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, final

from dp_core._access import EVERYTHING, PAGES_PATH, Access
from dp_core._errors import ProtocolError
from dp_core.server._answering import Serving
from dp_core.server._guarding import ClientGoneError, bearer_token
from dp_core.server._pages._asking._cookie import token_in_cookie
from dp_core.server._pages._asking._forms import Form, read_form, read_query
from dp_core.server._pages._showing import failure_page
from dp_core.server._routing import AdmittedRequest, Response
from dp_core.wire import Call

__all__ = ["LOOKS", "Visit", "visited"]

C = TypeVar("C")

LOOKS: Final = ("GET", "HEAD")
"""The methods that change nothing."""


@final
@dataclass(slots=True)
class Visit:
    """
    A request of a person.

    Attributes:
        serving: What the answers of the app share.
        request: The request.
        root: The way from its URL to where the app is.
        next: Its own URL, seen from there, without a token; empty for one to which
            nobody comes back.
        query: The members of its query.
        form: The fields of its form; None where it only looks.
        token: The token in the link, or in a form of its page.
        access: What the person may do.
        call: What the store was asked for last.
    """

    serving: Serving
    request: AdmittedRequest
    root: str
    next: str = ""
    query: tuple[tuple[str, str], ...] = ()
    form: Form | None = None
    token: str | None = None
    access: Access = EVERYTHING
    call: Call | None = None

    def one(self, name: str) -> str | None:
        """
        Return a member of the query that may be there once.

        Raises:
            ProtocolError: It is there twice (400).
        """
        found = [value for key, value in self.query if key == name]
        if len(found) > 1:
            raise ProtocolError(400, f"{name!r} is there twice")
        return found[0] if found else None

    def permitted(self, call: C) -> C:
        """
        Return a call as this person may make it.

        Raises:
            ProtocolError: They may not (403).
        """
        request = self.request
        allowed = self.serving.guard.permitted(self.access, call, request.scope)
        self.call = allowed  # type: ignore[assignment] # one of them
        return allowed

    async def read(self, fields: Collection[str], *, brings_it: bool) -> None:
        """
        Read the query, and the form.

        Args:
            fields: The fields that the form may have.
            brings_it: Whether a token in the form is what lets it in.

        Raises:
            ProtocolError: They are not ours (400); or the form may be that of a page of
                somebody else (403); or the server stops (503).
        """
        request, serving = self.request, self.serving
        if serving.places.is_stopped:
            raise ProtocolError(503, "the server stops, and will be back soon")
        self.query = tuple(read_query(request.query))
        # The address of any other page is left in histories, and has nothing to hide.
        if request.path.startswith(PAGES_PATH):
            self.token = self.one("token") or None
        if request.scope["method"] in LOOKS:
            return
        read = partial(read_form, request.body, fields)
        self.form = await serving.parsed(read, request.body)
        # Never that of the URL, which a page of anybody's could name.
        self.token = self.form.get("token") or None
        serving.guard.check_form(
            request.headers,
            request.scope,
            has_token=self.token is not None and request.access is None and brings_it,
        )

    async def enter(self) -> None:
        """
        Find out what the person may do.

        Raises:
            ProtocolError: They have no token, or not one of this server (401).
        """
        if self.request.access is not None:
            # There are no tokens at all.
            self.access = self.request.access
            return
        # A link is for one promise, whatever else this browser may do.
        token = (
            (self.token or "").encode()
            or bearer_token(self.request.headers)
            or token_in_cookie(self.request.headers)
        )
        if not token:
            raise ProtocolError(
                401,
                "a token in this address does not count: give it here"
                if any(name == "token" for name, _ in self.query)
                else "this server asks for a token",
            )
        guard = self.serving.guard
        self.access = await guard.access_of(token, self.request.scope)


async def visited(
    visit: Visit,
    work: Callable[[Visit], Awaitable[Response]],
    fields: Collection[str] = (),
    *,
    needs_token: bool = True,
) -> Response:
    """
    Return the page that is the answer.

    Args:
        visit: The request.
        work: Makes the page.
        fields: The fields that its form may have.
        needs_token: Whether who has no token is asked for it.

    Raises:
        ClientGoneError: The client went away.
    """
    try:
        await visit.read(fields, brings_it=needs_token)
        if needs_token:
            await visit.enter()
        return await work(visit)
    except ClientGoneError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug must not end a connection
        seen = visit.serving.operations.as_seen(error, visit.call)
    return failure_page(
        seen, root=visit.root, by_link=visit.token is not None, next=visit.next
    )
