"""`PromiseView`: a promise as its page shows it; `Message` says what just happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, final

from dp_core._access import Access, page_of
from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._terms import PromiseInfo, StateName, state_name
from dp_core.backend import now
from dp_core.server._guarding import allows
from dp_core.server._pages._asking import FIELDS, choices_of, text_of_choice
from dp_core.server._pages._showing import (
    JsonTree,
    moment_in_words,
    rendered,
    time_in_words,
    tree_of,
)
from dp_core.server._routing import Response
from dp_core.values import decode
from dp_core.wire import Create, Dispose, Settle

__all__ = ["Entered", "Message", "PageReader", "PromiseView", "promise_page", "told"]


@final
@dataclass(frozen=True, slots=True)
class PageReader:
    """
    Somebody who looks at a page.

    Attributes:
        access: What they may do.
        token: The token in their link, which their answer has to bring again; None
            where they have it in a cookie, or need none.
    """

    access: Access
    token: str | None = None

    @property
    def has_link(self) -> bool:
        """Whether they came by a link, and know of nothing but this promise."""
        return self.token is not None


@final
@dataclass(frozen=True, slots=True)
class Message:
    """
    A message above a promise.

    Attributes:
        kind: Whether it is good news.
        what: A sentence.
        more: Another one.
    """

    kind: Literal["good", "note", "bad"]
    what: str
    more: str = ""


@final
@dataclass(frozen=True, slots=True)
class Entered:
    """
    An answer that could not be taken, to be mended.

    Attributes:
        name: The field that it came in.
        text: What was in the field.
        why: What is wrong with it.
    """

    name: str
    text: str
    why: str


_LONG: Final = 8 * 1024
"""The longest text, in characters, that is shown again to be mended."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseView:
    """The content of the template of a promise's page; see there."""

    id: str
    is_dots: bool
    state: StateName
    outcome: JsonTree | None
    created_at: datetime | None
    settled_at: datetime | None
    settled_by: str | None
    expired: bool
    deadline: datetime | None
    left: str
    tags: Mapping[str, str]
    data: JsonTree | None
    choices: tuple[tuple[str, str], ...]
    is_created: bool
    may_settle: bool
    may_dispose: bool
    may_create: bool
    on_board: bool
    name: str | None
    token: str | None
    action: str
    create_at: str
    notice: Message | None = None
    entered: Mapping[str, str] = field(default_factory=dict)
    wrong: str = ""
    why: str = ""


def promise_page(
    info: PromiseInfo[bytes],
    reader: PageReader,
    status: int = 200,
    notice: Message | None = None,
    entered: Entered | None = None,
) -> Response:
    """
    Return the page of a promise.

    Args:
        info: What is known of it.
        reader: Who looks.
        status: The status of the response.
        notice: What just happened.
        entered: An answer to be mended.
    """
    terms, access = info.terms, reader.access
    deadline = terms.deadline if terms else None
    text: bytes | None = terms.data if terms else None
    data: Any = None if text is None else decode(text)
    choices = choices_of(data)
    may_settle = allows(access, Settle, info.id)
    are_buttons = bool(choices) and may_settle and isinstance(info.state, Pending)
    if are_buttons:
        # They say what they are.
        del data["choices"]
    page = page_of(info.id)
    is_dots = page.startswith("?")
    view = PromiseView(
        id=info.id,
        is_dots=is_dots,
        state=state_name(info.state),
        outcome=_outcome_tree(info.state),
        created_at=info.created_at,
        settled_at=info.settled_at,
        settled_by=info.settled_by,
        expired=info.expired,
        deadline=deadline if isinstance(info.state, Pending) else None,
        left=time_in_words(deadline - now()) if deadline else "",
        tags=terms.tags if terms else {},
        data=None if text is None or data == {} else tree_of(data, len(text)),
        choices=tuple((each, text_of_choice(each)) for each in choices),
        is_created=terms is not None,
        may_settle=may_settle,
        may_dispose=allows(access, Dispose, info.id),
        may_create=allows(access, Create, info.id),
        on_board=not reader.has_link,
        name=access.name,
        token=reader.token,
        action="../p/" if is_dots else f"../p/{page}",
        create_at=f"../board/new{page if is_dots else f'?id={page}'}",
        notice=notice,
        entered=_entered(entered),
        wrong=entered.name if entered else "",
        why=entered.why if entered else "",
    )
    return rendered(
        "promise",
        status,
        root="../",
        keeps_origin=not reader.has_link,
        it=view,
    )


def _outcome_tree(state: Pending | Outcome[bytes]) -> JsonTree | None:
    match state:
        case Resolved(text):
            return tree_of(decode(text), len(text))
        case Rejected(error):
            return tree_of(error, len(error.encode()))
        case _:
            return None


def _entered(entered: Entered | None) -> dict[str, str]:
    texts = dict.fromkeys(FIELDS, "")
    if entered is not None and len(entered.text) <= _LONG:
        texts[entered.name] = entered.text
    return texts


def told(
    before: PromiseInfo[bytes], after: PromiseInfo[bytes], asked: Outcome[bytes]
) -> tuple[int, Message]:
    """
    Return the status and the notice for a person who has answered.

    409 is for an answer that did not count. An answer that was there already is what
    was asked for, so that a second click is 200.

    Args:
        before: What was known before the answer.
        after: What is known now.
        asked: The answer.
    """
    state = after.state
    is_same = state == asked and after.settled_by in (asked.by, None)
    if isinstance(before.state, Pending) and is_same and not after.expired:
        return 200, Message(
            "good",
            "Your answer was taken.",
            "There is nothing more to do; you can close this page.",
        )
    if isinstance(state, Pending):
        return 409, Message(
            "bad",
            "Somebody has just disposed of this promise.",
            "It is pending again, as it is shown here; ask who sent you the link.",
        )
    when = f" at {moment_in_words(after.settled_at)}" if after.settled_at else ""
    by = f" by {after.settled_by}" if after.settled_by else ""
    if after.expired:
        return 409, Message(
            "bad",
            "Your answer came too late, and changed nothing.",
            f"The time for it was over{when}.",
        )
    if state == asked:
        return 200, Message(
            "note",
            "This answer was there already.",
            f"It was given{when}{by}. You can close this page.",
        )
    return 409, Message(
        "bad",
        "Somebody was faster: your answer changed nothing.",
        f"This was answered{when}{by}, as it is shown below.",
    )
