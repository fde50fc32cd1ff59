"""
``%%on alice``: a cell that runs in a process.

A magic cannot await. So a cell that begins with ``%%on`` is rewritten, before IPython
parses it, into one that awaits the function `on`.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from argparse import Namespace
from typing import Any, Final

from anyio.lowlevel import current_token
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic_arguments import MagicArgumentParser

from dp_core.notebook.processes import (
    CellResult,
    Fleet,
    FleetError,
    VariableError,
    fleet_of,
    running,
)

__all__ = ["add_on", "remove_on"]

_ON: Final = "_dp_on"
"""The name of `on` in the notebook's namespace."""

_CELL: Final = re.compile(r"%%on(?:[ \t]+(?P<where>.*))?$")
_BLANK: Final = re.compile(r"\s*(#.*)?$")


def _parser() -> MagicArgumentParser:
    parser = MagicArgumentParser("%%on", add_help=False)  # type: ignore[no-untyped-call] # IPython's
    parser.add_argument("names", nargs="+")
    parser.add_argument("--with", dest="variables", nargs="+", default=[])
    parser.add_argument("--out")
    parser.add_argument("--until")
    parser.add_argument("--no-raise-error", action="store_true")
    return parser


_PARSER: Final = _parser()


async def _on(shell: InteractiveShell, where: str, code: str) -> None:
    """
    Run a cell in some processes, and show their output.

    Args:
        shell: The notebook's, whose variables are sent and get the result.
        where: The rest of its first line.
        code: The cell.
    """
    _need_asyncio()
    asked, background = _parse(where)
    fleets = _fleets(asked)
    variables = {name: _variable(shell, name) for name in asked.variables}
    if variables:
        for fleet, own in fleets.items():
            await fleet.assign(variables, *own)
    if background:
        for fleet, own in fleets.items():
            for name in own:
                await fleet.begin(name, code, asked.until)
        return
    results: dict[str, CellResult] = {}
    for fleet, own in fleets.items():
        codes = dict.fromkeys(own, code)
        found = await fleet.run_each(codes, check=not asked.no_raise_error)
        found.update({**results, **found})
        results = found
    if asked.out:
        one = len(results) == 1
        shell.user_ns[asked.out] = next(iter(results.values())) if one else results


def _parse(where: str) -> tuple[Namespace, bool]:
    """Return the arguments, and whether the cell goes on in the background."""
    line = where.strip()
    background = line.endswith("&")
    try:
        words = shlex.split(line.removesuffix("&"))
    except ValueError as error:
        raise UsageError(f"%%on: {error}") from None
    if not words:
        raise UsageError("%%on needs the name of a process: %%on alice")
    asked = _PARSER.parse_args(words)
    if background and (asked.out or asked.no_raise_error):
        raise UsageError("%%on: there is no result yet; await fleet.join(…) returns it")
    if asked.until and not background:
        raise UsageError("%%on: --until is for the background: %%on alice --until x &")
    if asked.names == ["all"]:
        asked.names = list(running())
    return asked, background


def _fleets(asked: Namespace) -> dict[Fleet, list[str]]:
    """Return the fleets of the processes, and which of each."""
    fleets: dict[Fleet, list[str]] = {}
    for name in dict.fromkeys(asked.names):
        fleets.setdefault(fleet_of(name), []).append(name)
    return fleets


def _variable(shell: InteractiveShell, name: str) -> Any:
    if name not in shell.user_ns:
        reason = "there is none of that name here; run the cell that makes it"
        raise VariableError(name, reason)
    return shell.user_ns[name]


def _need_asyncio() -> None:
    if not isinstance(current_token().native_token, asyncio.AbstractEventLoop):
        raise FleetError("processes need asyncio; run %autoawait asyncio before")


def _rewrite(lines: list[str]) -> list[str]:
    """Turn ``%%on alice`` and its cell into an ``await``."""
    first = next((i for i, line in enumerate(lines) if not _BLANK.match(line)), 0)
    match = _CELL.match(lines[first].rstrip("\n")) if lines else None
    if match is None:
        return lines
    code = "".join(lines[first + 1 :])
    return [f"await {_ON}({(match['where'] or '').strip()!r}, {code!r})\n"]


def _misplaced(line: str, cell: str = "") -> None:
    """
    Run this cell in a process.

    %%on alice            in one, to its end
    %%on alice bob        in both at once
    %%on all              in all
    %%on alice &          in the background; await fleet.join("alice") waits for it
    %%on alice --until x &    goes on as soon as she has printed x
    %%on alice --with ID n    sends her these variables of the notebook before
    %%on alice --out result   puts the result of the cell into a variable
    %%on alice --no-raise-error   goes on after an error of the cell, or her death
    """
    raise UsageError("%%on must be in the first line of a cell")


def add_on(shell: InteractiveShell) -> None:
    """Add the magic to a shell."""

    async def on(where: str, code: str) -> None:
        await _on(shell, where, code)

    shell.magics_manager.register_function(_misplaced, "cell", "on")
    shell.magics_manager.register_function(_misplaced, "line", "%on")
    # Hidden, as IPython hides its own: not the reader's variable.
    shell.user_ns[_ON] = shell.user_ns_hidden[_ON] = on
    if _rewrite not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.insert(0, _rewrite)


def remove_on(shell: InteractiveShell) -> None:
    """Remove the magic from a shell."""
    shell.magics_manager.magics["cell"].pop("on", None)
    shell.magics_manager.magics["line"].pop("%on", None)
    shell.user_ns.pop(_ON, None)
    shell.user_ns_hidden.pop(_ON, None)
    if _rewrite in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_rewrite)
