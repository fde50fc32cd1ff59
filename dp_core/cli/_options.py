"""Options that several commands share: `url_option`, `json_option`, `seconds`."""

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
    help=f"URL of the store.  [default: $DP_URL, else {DEFAULT_URL}]",
    shell_complete=_schemes,
)

json_option: Final[_Decorator] = click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON on stdout."
)


def seconds(
    ctx: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse anything but a length of time."""
    if value is not None and not (isfinite(value) and value >= 0):
        raise click.BadParameter(
            f"{value} is not a valid number of seconds; write 0 or more"
        )
    return value
