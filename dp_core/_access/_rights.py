"""`Access`: the rights of whoever asks a server, for some promises."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, final

from dp_core._errors import AccessDeniedError, InvalidPromiseIdError, InvalidTermsError
from dp_core._ids import check_id, is_delivery
from dp_core._terms import check_name
from dp_core._text import quoted

__all__ = ["EVERYTHING", "RIGHTS", "Access"]

RIGHTS: Final = ("read", "create", "settle", "dispose", "list")
"""
All rights.

`settle` and `create` are told the outcome or the terms, so they include reading that
promise.
"""

_ALL: Final = "*"


@final
@dataclass(frozen=True, slots=True)
class Access:
    """
    Rights of somebody.

    Attributes:
        rights: Some of `RIGHTS`.
        ids: Ids, and beginnings of ids that end in ``*``; None for all promises.
        id: One id, which may end in ``*``, in place of *ids*.
        name: Who has the rights; None where a token names nobody.
        expires: Until when a token gives them, in seconds since 1970; None where no
            token says so. No part of the equality.

    Raises:
        AccessDeniedError: There are no such rights.
    """

    rights: frozenset[str]
    ids: tuple[str, ...] | None = None
    id: str | None = None
    name: str | None = None
    expires: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.rights:
            raise AccessDeniedError("a token without rights allows nothing")
        for right in sorted(self.rights - set(RIGHTS)):
            raise AccessDeniedError(
                f"{quoted(right)} is not a valid right; the rights are "
                f"{', '.join(RIGHTS)}"
            )
        if self.ids is not None and not self.ids:
            raise AccessDeniedError("a token without ids is for no promise")
        try:
            for pattern in self.ids or ():
                # A beginning may be empty.
                if pattern != _ALL:
                    check_id(pattern.removesuffix("*") or pattern)
            if self.id is not None:
                check_id(self.id)
            if self.name is not None:
                check_name(self.name, "the name in a token")
        except (InvalidPromiseIdError, InvalidTermsError) as error:
            raise AccessDeniedError(str(error)) from None

    def is_for(self, id: str) -> bool:
        """
        Tell whether the rights are for the promise with this id.

        The id of a delivery is the library's own, so of beginnings only that of all ids
        is its beginning, too.
        """
        if self.id is not None:
            return id == self.id
        if self.ids is None or _ALL in self.ids:
            return True
        if is_delivery(id):
            return id in self.ids
        return any(
            id.startswith(pattern[:-1]) if pattern.endswith("*") else id == pattern
            for pattern in self.ids
        )

    def may(self, id: str, any_of: Collection[str]) -> bool:
        """Tell whether it has one of some rights for a promise."""
        return not self.rights.isdisjoint(any_of) and self.is_for(id)

    def patterns(self) -> tuple[str, ...] | None:
        """Return *ids* as `Query.ids` has them; None for all promises."""
        if self.id is None:
            return self.ids
        # A query would take it for a beginning.
        return () if self.id.endswith("*") else (self.id,)


EVERYTHING: Final = Access(frozenset(RIGHTS))
"""All rights for all promises: those of the token of a server."""
