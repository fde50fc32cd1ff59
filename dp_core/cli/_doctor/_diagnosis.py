"""`diagnose`: checks of the installation and of a store, shown as they come."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from dp_core._errors import DurablePromiseError
from dp_core._text import described, shortened, type_name, visible
from dp_core.backend import Check, CheckStatus
from dp_core.cli._doctor._bounded import told_in_time
from dp_core.cli._doctor._installation import check_installation
from dp_core.cli._doctor._named_store import NamedStore
from dp_core.cli._doctor._store_checks import check_store
from dp_core.cli._output import Colour, in_colour, is_coloured, say_json, say_lines
from dp_core.cli._status import Status
from dp_core.cli._table import width_of_terminal, wrapped

__all__ = ["diagnose"]

_SILENT_SECONDS: Final = 20.0
"""The longest time for one check."""

_STATUS: Final[dict[CheckStatus, Status]] = {
    "ok": Status.RESOLVED,
    "warning": Status.REJECTED,
    "problem": Status.FAILED,
}
_COLOURS: Final[dict[CheckStatus, Colour]] = {
    "ok": "green",
    "warning": "yellow",
    "problem": "red",
}
_REPORT: Final = (
    'report it to the package that brings the backend; "dp backends" has its name'
)
_MOST: Final = 600
"""The most characters of a text; strangers may say any number."""


def diagnose(option: str | None, *, as_json: bool) -> Status:
    """
    Show how it is with the installation and a store; return what the worst means.

    Args:
        option: The value of ``--url``.
        as_json: Whether to print one line of JSON.
    """
    found: list[Check] = []
    with _silence():
        for check in map(_safe, _checks(NamedStore.of(option))):
            found.append(check)
            if not as_json:
                say_lines(_lines(check))
    if as_json:
        say_json([_as_dict(check) for check in found])
    else:
        say_lines(["", _summary(found)])
    return max((_STATUS[check.status] for check in found), default=Status.RESOLVED)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep backends from logging about their attempts: their checks say it."""
    logger = logging.getLogger("dp_backends")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _checks(store: NamedStore) -> Iterator[Check]:
    yield from check_installation()
    yield Check("store URL", "ok", f"{store} ({store.source})")
    try:
        checks = told_in_time(
            partial(check_store, store.url), _SILENT_SECONDS, each=True
        )
        for check in checks:
            # A backend of others may tell anything.
            yield check if isinstance(check, Check) else _no_check(check)
    except TimeoutError:
        yield Check(
            "store",
            "problem",
            f"nothing more was found out in {_SILENT_SECONDS:g} s",
            "look whether a disk, a server, or the backend's code hangs",
        )
    except DurablePromiseError as error:
        yield Check.failed("store", error, "look at what the error names")
    except Exception as error:  # noqa: BLE001 - of another package's backend
        yield Check(
            "store",
            "problem",
            f"the checks of this backend fail: {described(error)}",
            _REPORT,
        )


def _no_check(told: object) -> Check:
    return Check(
        "store",
        "problem",
        f"the backend tells {type_name(type(told))}, which is not a valid check",
        _REPORT,
    )


def _safe(check: Check) -> Check:
    """Return a check in characters that can be shown, on one line each."""
    texts = (check.name, check.text, check.advice)
    name, text, advice = (
        shortened(visible(" ".join(text.split())), _MOST) for text in texts
    )
    return Check(name, check.status, text, advice)


def _as_dict(check: Check) -> dict[str, str | None]:
    return {
        "name": check.name,
        "status": check.status,
        "text": check.text,
        "advice": check.advice or None,
    }


def _lines(check: Check) -> Iterator[str]:
    status = f"{check.status:<8}"
    if is_coloured(sys.stdout):
        status = in_colour(status, _COLOURS[check.status])
    columns = width_of_terminal()
    indent = " " * len(f"{'':<8} {'':<16} ")
    text, *rest = wrapped(check.text, columns, indent)
    yield f"{status} {check.name:<16} {text}"
    for line in rest:
        yield f"{indent}{line}"
    for number, line in enumerate(wrapped(check.advice, columns, f"{indent}-> ")):
        yield f"{indent}{'   ' if number else '-> '}{line}"


def _summary(found: list[Check]) -> str:
    count = Counter(check.status for check in found)
    words = [
        f"{count[status]} {status}{'s' * (count[status] != 1)}"
        for status in ("problem", "warning")
        if count[status]
    ]
    return f"{', '.join(words)}." if words else "All is well."
