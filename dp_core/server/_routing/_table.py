"""`Endpoints`: the table by which requests are routed, and what is derived from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, final

from dp_core._errors import ProtocolError
from dp_core.server._routing._endpoint import Endpoint

__all__ = ["Endpoints", "Route"]

S = TypeVar("S")

_Places: TypeAlias = tuple[int, ...]
"""The places of a path's parameters among its segments."""

_Key: TypeAlias = tuple[str | None, ...]
"""The segments of a path, None in the place of each parameter."""


@final
@dataclass(frozen=True, slots=True)
class Route(Generic[S]):
    """
    The row for a request.

    Attributes:
        endpoint: The row. Where the path has none for the method, it is the first one
            of the path, which says how to fail there.
        parameters: The segments of the path that are parameters.
        allowed: The methods of the path.
        is_allowed: Whether the method is one of them.
    """

    endpoint: Endpoint[S]
    parameters: tuple[str, ...]
    allowed: tuple[str, ...]
    is_allowed: bool

    @property
    def asks_for_token(self) -> bool:
        """Whether the sender needs a token; for a method that is not there, always."""
        return self.endpoint.asks_for_token or not self.is_allowed

    def check_method(self) -> None:
        """
        Refuse a method that the path does not have.

        Raises:
            ProtocolError: It does not have it (405).
        """
        if not self.is_allowed:
            raise ProtocolError(
                405,
                f"what is here is asked by {' or '.join(self.allowed)}; GET /promises "
                "lists what the store has, and GET /promises/ID tells all about one",
            )


@final
class Endpoints(Generic[S]):
    """
    All endpoints of the app.

    Args:
        rows: The rows; of two for one request, the later one is an error.
        unknown: The row for paths that have none.

    Raises:
        ValueError: Two rows are for one request.
    """

    def __init__(self, rows: Iterable[Endpoint[S]], unknown: Endpoint[S]) -> None:
        self._rows = tuple(rows)
        self._by_path: dict[_Key, dict[str, Endpoint[S]]] = {}
        # How many segments a path has, and where its parameters are. Those with the
        # fewest come first: what is named is not a parameter.
        places: dict[int, set[_Places]] = {}
        for row in self._rows:
            segments = row.path.split("/")
            found = tuple(n for n, one in enumerate(segments) if one.startswith("{"))
            places.setdefault(len(segments), set()).add(found)
            here = self._by_path.setdefault(_without(segments, found), {})
            for method in row.methods:
                if method in here:
                    raise ValueError(f"two rows for {method} {row.path}")
                here[method] = row
        self._places = {
            length: sorted(found, key=len) for length, found in places.items()
        }
        self._unknown = dict.fromkeys(unknown.methods, unknown)

    def __iter__(self) -> Iterator[Endpoint[S]]:
        """Iterate over the rows, in their order."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __contains__(self, row: object) -> bool:
        """Tell whether it is one of the rows."""
        return row in self._rows

    @property
    def methods(self) -> list[str]:
        """All methods, sorted."""
        return sorted({method for row in self for method in row.methods})

    def find(self, method: str, path: str) -> Route[S]:
        """
        Return the row for a request.

        Args:
            method: Its method.
            path: Its path, percent-encoded, without a query.
        """
        segments = path.split("/")
        for places in self._places.get(len(segments), ()):
            here = self._by_path.get(_without(segments, places))
            if here is not None:
                return _found(here, method, tuple(segments[n] for n in places))
        return _found(self._unknown, method, ())


def _without(segments: list[str], places: _Places) -> _Key:
    return tuple(None if n in places else segment for n, segment in enumerate(segments))


def _found(
    here: dict[str, Endpoint[S]], method: str, parameters: tuple[str, ...]
) -> Route[S]:
    row = here.get(method)
    if row is not None:
        return Route(row, parameters, tuple(here), is_allowed=True)
    first = next(iter(here.values()))
    return Route(first, parameters, tuple(here), is_allowed=False)
