"""`secret_file_option` and others: what commands about rights have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from dp_core._errors import BackendUnavailableError
from dp_core._extras import without_extra
from dp_core.cli._times import time

__all__ = ["expires_option", "needs_extra", "secret_file_option"]

_Decorator = Callable[[Any], Any]

secret_file_option: Final[_Decorator] = click.option(
    "--secret-file",
    metavar="PATH",
    help="The secrets that sign tokens, one a line, in a file that only you can read;"
    " the first one signs, all verify.  [default: $DP_SECRET_FILE]",
)


def expires_option(*, required: bool) -> _Decorator:
    """Return the option ``--expires``: a length of time, or a moment."""
    return click.option(
        "--expires",
        callback=time,
        required=required,
        metavar="TIME",
        help="Until when: from now, such as 3d, or a moment such as "
        "2026-11-26T14:30:00Z.",
    )


@contextmanager
def needs_extra(needs: str, extra: str) -> Iterator[None]:
    """
    Import what an extra brings.

    Args:
        needs: Says who needs it, such as "tokens need".
        extra: The extra.

    Raises:
        BackendUnavailableError: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = without_extra(error, needs, extra)
        raise BackendUnavailableError(str(missing)) from None
