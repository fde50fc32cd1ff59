"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from dp_core._client import DEFAULT_URL
from dp_core._plugins import installed_schemes

__all__ = ["json_option", "seconds", "url_option"]

_Decorator = Callable[[Any], Any]


def _schemes(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(f"{scheme}:")
        for scheme in sorted(installed_schemes())
        if scheme.startswith(incomplete)
    ]


url_option: Final[_Decorator] = click.option(
    "--url",
    metavar="STORE",
    help=f"Where promises live.  [default: $DP_URL, else {DEFAULT_URL}]",
    shell_complete=_schemes,
)

json_option: Final[_Decorator] = click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON on stdout."
)


def seconds(
    ctx: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse what is no length of time."""
    if value is not None and not (isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is no number of seconds from 0 up")
    return value
