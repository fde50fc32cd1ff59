"""`Promises`, blocking: a handle on a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

from dp_core import _client
from dp_core._client import Deadline, FoundPromises
from dp_core._errors import EventLoopRunningError
from dp_core._mismatch import Refused
from dp_core._states import Outcome
from dp_core._terms import PromiseInfo, StateName
from dp_core._type_form import TypeForm
from dp_core.backend import Backend
from dp_core.sync._ahead import Ahead
from dp_core.sync._promise import DurablePromise
from dp_core.sync._run import call
from dp_core.values import MAX_VALUE_BYTES

__all__ = ["Promises"]

T = TypeVar("T")


class Promises:
    """
    A handle on a store of promises.

    Works as a context manager, and without: nothing runs in the
    background, so a handle that was never closed costs idle connections at
    most. One handle may be shared by tasks, threads and event loops. Two are equal
    where they are on one store.

    Attributes:
        backend: The backend that keeps the promises.
        url: The store's URL.
    """

    def __init__(
        self, backend: Backend, url: str, *, max_value_bytes: int = MAX_VALUE_BYTES
    ) -> None:
        self._promises = _client.Promises(backend, url, max_value_bytes=max_value_bytes)

    @property
    def backend(self) -> Backend:
        return self._promises.backend

    @property
    def url(self) -> str:
        return self._promises.url

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Promises):
            return NotImplemented
        return self._promises == other._promises

    def __hash__(self) -> int:
        return hash(self._promises)

    def __repr__(self) -> str:
        return repr(self._promises)

    @overload
    def promise(self, id: str) -> DurablePromise[Any]: ...
    # Type checkers that do not know `TypeForm` yet infer classes all the same.
    @overload
    def promise(self, id: str, type: type[T]) -> DurablePromise[T]: ...
    @overload
    def promise(self, id: str, type: TypeForm[T]) -> DurablePromise[T]: ...
    def promise(self, id: str, type: Any = Any) -> DurablePromise[Any]:
        """
        Return a handle on one promise, without I/O.

        Args:
            id: Any text of 1 to 1,024 bytes of UTF-8 without NUL.
            type: The type of the value: any that msgspec or pydantic reads, such as a
                dataclass, ``list[Invoice]`` or ``Invoice | None``. Without it, values
                are plain JSON.

        Raises:
            InvalidPromiseIdError: *id* cannot name a promise.
            InvalidTypeError: No value can be kept as this type.
        """
        return DurablePromise(self._promises.promise(id, type))

    # Terms ------------------------------------------------------------------

    @overload
    def create(
        self,
        id: str | None = None,
        *,
        deadline: Deadline | None = None,
        otherwise: Outcome[Any] | None = None,
        tags: Mapping[str, str] | None = None,
        data: object = None,
        notify: Iterable[str] | None = None,
        exist_ok: bool = True,
    ) -> DurablePromise[Any]: ...
    @overload
    def create(
        self,
        id: str | None,
        type: type[T],
        *,
        deadline: Deadline | None = None,
        otherwise: Outcome[T] | None = None,
        tags: Mapping[str, str] | None = None,
        data: object = None,
        notify: Iterable[str] | None = None,
        exist_ok: bool = True,
    ) -> DurablePromise[T]: ...
    @overload
    def create(
        self,
        id: str | None,
        type: TypeForm[T],
        *,
        deadline: Deadline | None = None,
        otherwise: Outcome[T] | None = None,
        tags: Mapping[str, str] | None = None,
        data: object = None,
        notify: Iterable[str] | None = None,
        exist_ok: bool = True,
    ) -> DurablePromise[T]: ...
    def create(  # noqa: PLR0913 - each is one of the terms
        self,
        id: str | None = None,
        type: Any = Any,
        *,
        deadline: Deadline | None = None,
        otherwise: Outcome[Any] | None = None,
        tags: Mapping[str, str] | None = None,
        data: object = None,
        notify: Iterable[str] | None = None,
        exist_ok: bool = True,
    ) -> DurablePromise[Any]:
        """
        Give a promise its terms, unless it has some; return a handle on it.

        Safe to repeat, until somebody disposes of the promise: the first terms stand,
        and are ``promise.terms``, whoever made them. It may be settled already.

        Args:
            id: As for `promise`; by default a new one of 128 random bits.
            type: As for `promise`.
            deadline: When it settles by itself: a `datetime.timedelta` from now, by the
                clock of the store, or a `datetime.datetime` with a time zone. One that
                is over already settles it at once.
            otherwise: What it settles to then; by default `DEADLINE_PASSED`.
            tags: What `list` can find it by, see `Terms`. Keys that begin with ``dp.``
                are the library's own.
            data: JSON for whoever settles it; None for nothing.
            notify: URLs that a server of the store calls once it is settled, at least
                once each; see the guide "Call another system".
            exist_ok: Whether other terms may stand. Equal ones are taken for ours.

        Raises:
            InvalidPromiseIdError: *id* cannot name a promise.
            InvalidTypeError: No value can be kept as this type.
            InvalidTermsError: No promise can have these terms.
            InvalidValueError: A value is not strict JSON, or too large.
            ValueMismatchError: *otherwise* is not of that type.
            PromiseExistsError: Other terms stand, and ``exist_ok=False``.
            NotSupportedError: The store keeps outcomes only.
            BackendError: The store could not be asked.
        """
        created = call(
            "await promises.create(…)",
            self._promises.create,
            id,
            type,
            deadline=deadline,
            otherwise=otherwise,
            tags=tags,
            data=data,
            notify=notify,
            exist_ok=exist_ok,
        )
        return DurablePromise(created)

    def list(
        self,
        *,
        state: StateName | None = None,
        tags: Mapping[str, str] | None = None,
        prefix: str = "",
        after: str | None = None,
        newest: bool = False,
    ) -> Iterator[PromiseInfo[Any]]:
        """
        Iterate over the promises that were created or settled.

        They come in the order in which they were first heard of, page by page. What is
        there the whole time is neither missed nor told twice. What nobody has created
        or settled is not listed.

        Args:
            state: Those in this state: "pending", "resolved" or "rejected".
            tags: Those that have all of these tags.
            prefix: Those whose ids begin with this.
            after: Those after the one with this ``info.cursor``.
            newest: Whether the newest come first.

        Raises:
            InvalidQueryError: No promise is found by this.
            NotSupportedError: The store cannot be listed.
            BackendError: The store could not be asked; or, after all others were told,
                some promises cannot be read.
        """
        infos = self._promises.list(
            state=state, tags=tags, prefix=prefix, after=after, newest=newest
        )
        found = cast("FoundPromises[Any]", infos)
        return Ahead(
            found, found.is_ready, partial(call, "async for info in promises.list(…)")
        )

    def prune(
        self,
        *,
        settled_before: Deadline,
        state: StateName | None = None,
        tags: Mapping[str, str] | None = None,
        prefix: str = "",
    ) -> int:
        """
        Dispose of promises that were settled long ago; return how many.

        Each is looked at once more just before. Do not make ids anew at that moment:
        what is made between that look and the disposal is disposed of.

        Args:
            settled_before: How long ago, or before which moment.
            state: Those in this state: "resolved" or "rejected"; None for both.
            tags: Those that have all of these tags.
            prefix: Those whose ids begin with this.

        Raises:
            InvalidQueryError: No promise is found by this.
            NotSupportedError: The store cannot be listed.
            BackendError: The store could not be asked, and some may be disposed of; or,
                after all others were disposed of, some promises cannot be read.
        """
        return call(
            "await promises.prune(…)",
            self._promises.prune,
            settled_before=settled_before,
            state=state,
            tags=tags,
            prefix=prefix,
        )

    def link(
        self,
        id: str,
        *,
        expires: Deadline,
        by: str | None = None,
        base: str | None = None,
        secret: str | None = None,
    ) -> str:
        """
        Return a link by which a person can look at a promise, and settle it.

        It leads to a page of the server, and has a token for this promise alone.
        Whoever has the link has these rights, until it is over. It is to an id,
        whatever becomes of the promise: ask by fresh ids.

        Args:
            id: The promise's id; it need not have been created yet.
            expires: Until when, by the clock of this process: a `datetime.timedelta`
                from now, or a `datetime.datetime` with a time zone.
            by: Who gets the link. What they settle is by them, whatever they say.
            base: The URL by which people reach the server; by default that of the
                store, where it is a server.
            secret: A secret of the server; by default the first in the file that
                ``DP_SECRET_FILE`` names.

        Raises:
            InvalidPromiseIdError: *id* cannot name a promise.
            InvalidLinkError: *expires* is not such a time, or over already; or the link
                leads nowhere.
            AccessDeniedError: There is no secret, or it is not a valid one; or nobody
                can have that name.
            ModuleNotFoundError: The extra ``server`` is not installed.
        """
        return call(
            "await promises.link(…)",
            self._promises.link,
            id,
            expires=expires,
            by=by,
            base=base,
            secret=secret,
        )

    def close(self) -> None:
        """Release what the handle holds; the promises are not touched."""
        call("await promises.aclose()", self._promises.aclose)

    if not TYPE_CHECKING:
        __aenter__, __aexit__ = Refused("async with", "with dp.connect(…)"), None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except EventLoopRunningError:
            # Where a call of the block has just said so, it names that call.
            if exc is None:
                raise
