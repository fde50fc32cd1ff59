"""`Query` for promises of a store, and `Page`, some of what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final, get_args

from dp_core._errors import BackendError, InvalidQueryError, InvalidTermsError
from dp_core._terms._infos import PromiseInfo, StateName, state_name
from dp_core._terms._tags import check_tags, is_text
from dp_core._text import shown

__all__ = ["Page", "Query"]


@final
@dataclass(frozen=True, slots=True)
class Query:
    """
    Question for promises of a store: those that have all of this.

    Attributes:
        state: Those in this state; None for all.
        tags: Those that have all of these tags.
        prefix: Those whose ids begin with this text.
        newest: Whether the newest come first; else the oldest.
        ids: Those whose id is one of these, or begins with the text before a final
            ``*``; None for all. These are the patterns of an access token.

    Raises:
        InvalidQueryError: No promise can be found by this.
    """

    state: StateName | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    prefix: str = ""
    newest: bool = False
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.state not in (None, *get_args(StateName)):
            raise InvalidQueryError(
                f"{shown(self.state)} is not a valid state; write 'pending', "
                "'resolved' or 'rejected'"
            )
        if not isinstance(self.prefix, str):
            raise InvalidQueryError(f"a prefix is a string, not {shown(self.prefix)}")
        if not is_text(self.prefix):
            raise InvalidQueryError("a prefix has a lone surrogate in it")
        try:
            object.__setattr__(self, "tags", check_tags(self.tags))
        except InvalidTermsError as error:
            raise InvalidQueryError(error.reason) from None

    def matches(self, info: PromiseInfo[Any]) -> bool:
        """Tell whether a promise is one of those."""
        tags = info.terms.tags if info.terms is not None else {}
        return (
            self.state in (None, state_name(info.state))
            and self.matches_id(info.id)
            and all(tags.get(key) == value for key, value in self.tags.items())
        )

    def matches_id(self, id: str) -> bool:
        """Tell whether a promise of that id may be one of those."""
        return id.startswith(self.prefix) and (
            self.ids is None
            or any(
                id.startswith(p[:-1]) if p.endswith("*") else id == p for p in self.ids
            )
        )


@final
@dataclass(frozen=True, slots=True)
class Page:
    """
    Some of the promises of a listing, in the order of the store.

    Attributes:
        infos: The promises; there may be none although more follow.
        after: Where to go on, in the store's own words; None at the end.
        failures: The promises in between that cannot be read, by their ids or by the
            store's own names for them, and why.
    """

    infos: tuple[PromiseInfo[bytes], ...]
    after: str | None
    failures: tuple[tuple[str, BackendError], ...] = ()
