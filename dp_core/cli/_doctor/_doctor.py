"""`doctor`: the command that says how it is with an installation and a store."""

from __future__ import annotations

import click

from dp_core.cli._doctor._diagnosis import diagnose
from dp_core.cli._examples import examples
from dp_core.cli._input import json_option, url_option
from dp_core.cli._output import NobodyReadsError
from dp_core.cli._status import Status

__all__ = ["doctor"]


@click.command(
    epilog=examples(
        "dp doctor",
        "dp doctor --url sqlite:./promises.db",
        "dp doctor --json",
    ),
)
@url_option
@json_option
def doctor(url: str | None, *, as_json: bool) -> Status:
    """
    Check the installation and a store, and say what to do.

    Nothing is made, changed or repaired. A line says "ok", "warning" (it works, with a
    restriction) or "problem" (it does not work), what was looked at, and what was
    found; the line below says what to do about it. As JSON, it is an array of objects
    with "name", "status", "text" and "advice".

    The exit code is that of the worst: 0 all is well, 1 a warning, 2 a problem.
    """
    try:
        return diagnose(url, as_json=as_json)
    except NobodyReadsError:
        # As those who count on it expect: dp doctor | head
        return Status.FAILED
