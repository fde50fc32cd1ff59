"""
`check_wire`: tries the laws on any HTTP server that speaks the wire.

The package contains 41 recorded exchanges with the reference, restate-server
1.7 running Restate's own example. Each is a law: a server gives the same
response to the same request, as far as a client can tell. Where our server is
more precise than the reference, either response is right.

The reference has no terms, no list, no batches and no event streams. What a server
says of these is in ``terms-wire.json`` and ``many-wire.json``, and each case of them is
a law, too: not judged, visibly, where a server does not have what the case asks for.

`check_wire` tries these laws, and the laws of backends through a client.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dp_core._public import publish
from dp_core.testing._check import check_backend
from dp_core.testing.kit import Effort, IsThere, OpenBackend, Progress, Report
from dp_core.testing.laws import LAWS
from dp_core.testing.wire._recorded import CASES, Exchange, wire_law
from dp_core.testing.wire._terms import (
    MANY_CASES,
    TERMS_CASES,
    TermsCase,
    many_law,
    terms_law,
)

__all__ = [
    "CASES",
    "MANY_CASES",
    "TERMS_CASES",
    "Exchange",
    "TermsCase",
    "check_wire",
    "many_law",
    "terms_law",
    "wire_law",
]


async def check_wire(  # noqa: PLR0913 - all but two have a name
    url: str,
    open_backend: OpenBackend,
    *,
    durable: bool = False,
    skip: Collection[str] = (),
    effort: Effort | None = None,
    seed: int | None = None,
    headers: Mapping[str, str] | None = None,
    is_there: IsThere | None = None,
    own_process: bool = False,
    progress: Progress | None = None,
) -> Report:
    """
    Try every law on a server: those of its wire, and those of backends.

    Args:
        url: The server's URL. It need not be empty: all ids are new ones.
        open_backend: Opens a client of it that is a `dp_core.Backend`.
        durable: Whether the server keeps promises when all clients have left.
        skip: Names of laws to leave out; the report says so.
        effort: The amount of work that goes into breaking a law.
        seed: The seed of an earlier run, to repeat its random choices.
        headers: Sent with every request, such as a token.
        is_there: Asked when a law is broken; a server that is gone is not judged.
        own_process: Whether this process is there for the laws alone; see
            `check_backend`.
        progress: Told before each law its number, how many there are, and its name.
            One that is tried once more, at the end, counts twice.

    Returns:
        The report, where every law holds.

    Raises:
        ConformanceError: The server breaks laws.
        StoreGoneError: The server is not there any more, as *is_there* tells.
        ValueError: *skip* names a law that does not exist.
    """
    recorded = [wire_law(name, url, headers) for name in CASES]
    terms = [terms_law(name, url, headers) for name in TERMS_CASES]
    many = [many_law(name, url, headers) for name in MANY_CASES]
    return await check_backend(
        open_backend,
        durable=durable,
        shared=True,
        skip=skip,
        laws=[*LAWS.values(), *recorded, *terms, *many],
        effort=effort,
        seed=seed,
        is_there=is_there,
        own_process=own_process,
        progress=progress,
    )


publish(__name__, __all__)
