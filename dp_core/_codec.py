"""`Codec`: the values of one promise as JSON text and back, by its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast, final

from dp_core._errors import (
    CorruptPromiseError,
    InvalidValueError,
    ValueMismatchError,
)
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import PromiseInfo, Terms
from dp_core._text import quoted, shown
from dp_core.backend import in_thread
from dp_core.values import (
    ValueType,
    check_message,
    decode,
    draft,
    takes_long,
    value_type,
)

__all__ = ["Codec"]

T = TypeVar("T")


@final
class Codec(Generic[T]):
    """
    Values of one type as JSON text; off the event loop where that takes long.

    Args:
        type_: The type of the values; Any for plain JSON.
        limit: The longest text to write, in bytes.

    Raises:
        InvalidTypeError: No value can be kept as this type.
    """

    __slots__ = ("_limit", "_type")

    def __init__(self, type_: Any, limit: int) -> None:
        self._type: ValueType[T] | None = None if type_ is Any else value_type(type_)
        self._limit = limit

    # Writing ----------------------------------------------------------------

    async def encode(self, value: T | None) -> bytes:
        """
        Return the JSON text of a value.

        Raises:
            InvalidValueError: It is not strict JSON, or too large.
            ValueMismatchError: It is not of the type.
        """
        if self._type is None:
            return await self.encode_plain(value)
        written = self._type.draft(cast("T", value), self._limit)
        text = await in_thread(written.text) if written.takes_long else written.text()
        # A check: what this handle could not read back is refused now, while
        # nothing has happened. Plain JSON can always be read back.
        self._type.check(cast("T", value), await self.decode(text))
        return text

    async def encode_plain(self, value: object) -> bytes:
        """
        Return the JSON text of a value of any type.

        Raises:
            InvalidValueError: It is not strict JSON, or too large.
        """
        written = draft(value, self._limit)
        return await in_thread(written.text) if written.takes_long else written.text()

    def check_message(self, error: str) -> str:
        """
        Return the message of a rejection.

        Raises:
            InvalidValueError: It is not a Unicode string, or too large.
        """
        return check_message(error, self._limit)

    async def encode_outcome(self, outcome: Outcome[T]) -> Outcome[bytes]:
        """Return an outcome with its value as JSON text; raises as `encode` does."""
        if isinstance(outcome, Resolved):
            return Resolved(await self.encode(outcome.value))
        return Rejected(self.check_message(outcome.error))

    # Reading ----------------------------------------------------------------

    async def decode(self, text: bytes) -> T:
        """
        Return the value of JSON text.

        Raises:
            ValueMismatchError: It is not of the type.
        """
        read: Callable[[bytes], T] = decode if self._type is None else self._type.read
        return await in_thread(read, text) if takes_long(text) else read(text)

    async def decode_state(self, id: str, state: State[bytes]) -> State[T]:
        """Return the state of a promise; raises as `decode_outcome` does."""
        if isinstance(state, Pending):
            return state
        return await self.decode_outcome(id, state)

    async def decode_outcome(
        self, id: str, outcome: Outcome[bytes]
    ) -> Resolved[T] | Rejected:
        """
        Return the outcome of a promise.

        Raises:
            ValueMismatchError: Its value is not of the type.
            CorruptPromiseError: It is not what a store takes.
        """
        try:
            match outcome:
                case Resolved(text):
                    return Resolved(await self.decode(text), by=outcome.by)
                case Rejected(error):
                    check_message(error, len(error) * 6 + 2)
                    return outcome
        except ValueMismatchError as error:
            raise ValueMismatchError(error.type_name, error.reason, id) from None
        except InvalidValueError as error:
            raise CorruptPromiseError(
                f"promise {quoted(id)} holds what a store never takes: {error}; "
                "restore it from a backup, or dispose of the promise"
            ) from None
        raise TypeError(f"a backend returned {shown(outcome)}")

    async def decode_terms(self, id: str, terms: Terms[bytes]) -> Terms[T]:
        """Return the terms of a promise; raises as `decode_outcome` does."""
        otherwise: Outcome[T] | None = None
        if terms.otherwise is not None:
            otherwise = await self.decode_outcome(id, terms.otherwise)
        return Terms(
            deadline=terms.deadline,
            otherwise=otherwise,
            tags=terms.tags,
            data=None if terms.data is None else await _PLAIN.decode(terms.data),
            notify=terms.notify,
        )

    async def decode_info(self, info: PromiseInfo[bytes]) -> PromiseInfo[T]:
        """Return what is known about a promise; raises as `decode_outcome` does."""
        terms = info.terms
        return PromiseInfo(
            id=info.id,
            state=await self.decode_state(info.id, info.state),
            terms=None if terms is None else await self.decode_terms(info.id, terms),
            created_at=info.created_at,
            settled_at=info.settled_at,
            settled_by=info.settled_by,
            expired=info.expired,
            cursor=info.cursor,
        )


_PLAIN: Final[Codec[Any]] = Codec(Any, 0)
