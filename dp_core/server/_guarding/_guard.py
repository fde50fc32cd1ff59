"""
`Guard`: refuses requests by their headers, and reads bodies within bounds.

Any web page that a user visits can send requests to ``localhost``. Browsers
let it, but they name the page (``Origin``, ``Sec-Fetch-Site``). We trust these
headers: `Guard.check` refuses every request that is not plainly from a program
or from a page of this server's own, before any work is done. Bodies are
counted while they arrive, whatever a header says about their length.

=============================== ======================================
``Host`` is not ours            421: a foreign name was made to resolve to this
                                machine (DNS rebinding)
``Origin``, ``Sec-Fetch-Site``  403: a page of another site, or of another port
                                of this one (``same-site``), asks
no or another bearer token      401
a token that does not allow it  403, by `permitted`
not the type that is asked for  415: of ``application/json``, no foreign page can
                                send it without asking first (Fetch §2.2.2)
a body too long, or too slow    413, 408
=============================== ======================================

Who is refused for a name, a page or a token leaves a line in the log, with the option
that would allow it.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from starlette.types import Receive, Scope

from dp_core._access import EVERYTHING, Access, PublicUrl
from dp_core._errors import AccessDeniedError, ProtocolError
from dp_core._text import quoted
from dp_core.server._guarding._bearer import Bearer, bearer_token
from dp_core.server._guarding._bodies import Headers, read_body, throw_away_body
from dp_core.server._guarding._hosts import Hosts
from dp_core.server._guarding._origins import (
    Origins,
    names_its_page,
    opens_page,
    text_of_header,
)
from dp_core.server._guarding._permitted import permitted
from dp_core.server._observing import SUB, Notices
from dp_core.server._settings import Settings

__all__ = ["UNKNOWN_PAGE", "ClientGoneError", "Guard", "Headers"]

C = TypeVar("C")

# Two of one of these would be read one way here and another way elsewhere.
_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"sec-fetch-site",
    }
)


_TOKENS: Final = (
    "ours is that of --token-file, DP_TOKEN or DP_TOKEN_FILE, or is signed by a secret "
    "of --secret-file or DP_SECRET_FILE"
)

UNKNOWN_PAGE: Final = "this form does not say which page it was sent from"
"""The reason why a form is refused that may be anybody's."""


class ClientGoneError(Exception):
    """The client went away, so there is nobody to answer."""


class Guard:
    """
    Refuses requests that the server's settings do not allow.

    Args:
        settings: The settings.
        notices: The log.
        public: Where people see the server, as the settings say it.
    """

    def __init__(
        self, settings: Settings, notices: Notices, public: PublicUrl | None
    ) -> None:
        hosts = settings.allowed_hosts
        if public is not None:
            hosts = (*hosts, public.name)
        self._hosts = Hosts(hosts)
        self._origins = Origins(settings.allowed_origins, public)
        self._bearer = Bearer(settings, notices)
        self.secrets = self._bearer.secrets  # For those who sign.
        self._seconds = settings.body_seconds
        self._notices = notices

    def check(self, scope: Scope, *, is_page: bool = False) -> Headers:
        """
        Return the headers of a request that names this server, and no foreign page.

        Args:
            scope: The request.
            is_page: Whether it is for a page, which people may open from anywhere; of a
                form, `check_form` has the last word, as there may be a token in it.

        Raises:
            ProtocolError: The request is refused.
        """
        headers: Headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]):
            _check_single(scope)
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # One of two lengths is a lie (RFC 9112 §6.1).
            raise ProtocolError(400, "the body has two lengths")
        self._check_host(text_of_header(headers, b"host"), scope)
        if not (is_page and opens_page(headers, scope)):
            self._check_origin(headers, scope, may_hide=is_page)
        return headers

    def check_form(self, headers: Headers, scope: Scope, *, has_token: bool) -> None:
        """
        Refuse a form of a page that may be foreign, or that nobody knows.

        Args:
            headers: The request's headers.
            scope: The request.
            has_token: Whether the form itself has the token that counts.

        Raises:
            ProtocolError: It is refused (403).
        """
        # What a site was allowed is to send tokens, not to use those of its readers.
        self._check_origin(headers, scope, may_hide=has_token, only_own=not has_token)
        if not (has_token or names_its_page(headers)):
            raise self._refused(
                scope,
                ProtocolError(403, UNKNOWN_PAGE),
                "it sent a form without Origin and Sec-Fetch-Site; browsers send them, "
                "unless they are old, or a proxy takes them away",
            )

    async def access(
        self, headers: Headers, scope: Scope, *, asks_for_token: bool
    ) -> Access | None:
        """
        Return what the sender of a request may do.

        Args:
            headers: Its headers.
            scope: The request.
            asks_for_token: Whether it needs a token, where this server has some.

        Returns:
            The access of its token; None for one that needs none, unless there are no
            tokens at all.

        Raises:
            ProtocolError: It has no token of this server (401).
        """
        if not self._bearer.asked:
            return EVERYTHING
        if not asks_for_token:
            return None
        token = bearer_token(headers)
        if not token:
            raise self._refused(
                scope,
                ProtocolError(401, "this server asks for a token"),
                "it sent no token; clients send that of DP_TOKEN or DP_TOKEN_FILE",
            )
        return await self.access_of(token, scope)

    async def access_of(self, token: bytes, scope: Scope) -> Access:
        """
        Return what a token allows, however it was sent.

        Raises:
            ProtocolError: It is not a token of this server (401).
        """
        try:
            access = await self._bearer.access(token)
        except AccessDeniedError as error:
            raise self._refused(
                scope,
                ProtocolError(401, error.reason),
                f"it sent another token than ours ({error.reason}); {_TOKENS}",
            ) from None
        scope[SUB] = access.name
        return access

    def check_rights(
        self, access: Access | None, rights: frozenset[str], scope: Scope
    ) -> None:
        """
        Refuse a request that takes rights, whatever the promise, without these.

        Raises:
            ProtocolError: They are not there (403).
        """
        if rights and (access is None or not rights <= access.rights):
            raise self._not_allowed(
                scope, ProtocolError(403, "this token does not allow that")
            )

    def permitted(self, access: Access | None, call: C, scope: Scope) -> C:
        """
        Return a call as whoever has this access may make it; see `permitted`.

        Raises:
            ProtocolError: It is not allowed (403).
        """
        try:
            return permitted(access, call)
        except ProtocolError as error:
            raise self._not_allowed(scope, error) from None

    async def read_body(
        self,
        headers: Headers,
        receive: Receive,
        limit: int,
        media_type: str = "application/json",
    ) -> bytes:
        """Return the body of a request; see `read_body`."""
        return await read_body(headers, receive, limit, media_type, self._seconds)

    async def throw_away_body(
        self, headers: Headers, receive: Receive, limit: int
    ) -> None:
        """Read the body of a refused request; see `throw_away_body`."""
        await throw_away_body(headers, receive, limit)

    def _check_host(self, host: str, scope: Scope) -> None:
        if not host:
            raise ProtocolError(400, "the Host header is missing")
        if not self._hosts.know(host, scope.get("scheme", "http"), scope.get("server")):
            raise self._refused(
                scope,
                ProtocolError(421, f"this server is not known as {quoted(host)}"),
                f"it asked for {quoted(host)}, which is not a name of this server; "
                "--public-url says where it is seen, --allow-host allows another name",
                "; its owner can allow that name: dp serve --public-url for a proxy's, "
                "else --allow-host",
            )

    def _check_origin(
        self,
        headers: Headers,
        scope: Scope,
        *,
        may_hide: bool,
        only_own: bool = False,
    ) -> None:
        pages = self._origins.foreign(
            headers, scope, may_hide=may_hide, only_own=only_own
        )
        if pages is not None:
            raise self._foreign(scope, pages)

    def _foreign(self, scope: Scope, pages: str) -> ProtocolError:
        return self._refused(
            scope,
            ProtocolError(403, f"{pages} may not ask"),
            f"{pages} may not ask; --allow-origin allows a site, and --public-url says "
            "where this server's own pages are seen",
            "; the server's owner can allow a site: dp serve --allow-origin, or say "
            "where its own pages are seen: --public-url",
        )

    def _not_allowed(self, scope: Scope, error: ProtocolError) -> ProtocolError:
        return self._refused(scope, error, "its token does not allow what it asked for")

    def _refused(
        self, scope: Scope, error: ProtocolError, why: str, what_to_do: str = ""
    ) -> ProtocolError:
        """Return an error with what to do, after a line about it in the log."""
        client: Any = scope.get("client")
        source = client[0] if client else "somebody"
        self._notices.tell(
            (source, error.status, error.reason if error.status == 401 else ""),
            lambda: f"refused a request from {quoted(source)} ({error.status}): {why}",
        )
        return ProtocolError(error.status, error.reason + what_to_do)


def _check_single(scope: Scope) -> None:
    names = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(set(names)) < len(names):
        raise ProtocolError(400, "a header is there twice")
