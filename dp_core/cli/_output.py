"""
`report`, `say` and others print on stdout; `complain` prints all else on stderr.

Colours are for terminals: a pipe gets none, whatever the environment says, so that
nobody's environment changes what a script reads.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TextIO, TypeAlias

import click

from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import PromiseInfo
from dp_core._text import coloured, for_terminal
from dp_core.cli._status import STATUS_OF, Status
from dp_core.values import decode
from dp_core.wire import write_answer, write_info

__all__ = [
    "Colour",
    "NobodyReadsError",
    "NoticeHandler",
    "all_was_said",
    "complain",
    "complain_once",
    "in_colour",
    "info_line",
    "is_coloured",
    "is_read_as_it_comes",
    "one_line",
    "report",
    "say",
    "say_info",
    "say_json",
    "say_lines",
    "unwritable",
]


def report(state: State[bytes] | Outcome[bytes], *, as_json: bool) -> Status:
    """
    Print a state, and return its exit code.

    A string prints as it is and any other value as its JSON text, so that a
    value can be piped on; a message, and "pending", go to stderr. As JSON, a
    state is one line on stdout: the answer of the wire.
    """
    match state:
        case _ if as_json:
            say(one_line(write_answer(state)))
        case Resolved(text):
            say(decode(text) if text.startswith(b'"') else text.decode())
        case Rejected(error):
            complain(f"rejected: {error}")
        case Pending():  # pragma: no branch - the last of three
            complain("pending")
    return STATUS_OF[type(state)]


def say(text: str) -> None:
    """
    Print a line on stdout, in UTF-8 as it is stored.

    Raises:
        click.ClickException: It cannot be written.
    """
    _write(_shown(text, sys.stdout))


def _write(text: str) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(f"{text}\n".encode(errors="backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        # The interpreter would try once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise unwritable(error) from None


def say_lines(lines: Iterable[str]) -> None:
    """
    Print lines on stdout, whose colours stay; nothing for no lines.

    Raises:
        click.ClickException: They cannot be written.
    """
    if text := "\n".join(lines):
        if sys.stdout.isatty():
            text = "\n".join(map(coloured, text.split("\n")))
        _write(text)


def say_json(value: object) -> None:
    """
    Print a value as one line of JSON on stdout, in the style of the wire.

    Raises:
        click.ClickException: It cannot be written.
    """
    say(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def say_info(info: PromiseInfo[bytes]) -> None:
    """
    Print what is known about a promise as one line of JSON, that of the wire.

    Raises:
        click.ClickException: It cannot be written.
    """
    say(info_line(info))


def info_line(info: PromiseInfo[bytes]) -> str:
    """Return what is known about a promise as one line of JSON, that of the wire."""
    return one_line(write_info(info))


def one_line(text: bytes) -> str:
    """Return JSON text on one line; stores keep the white space that they got."""
    # In a string they are escaped (RFC 8259 §7); and numbers keep their digits.
    return text.translate(None, b"\r\n").decode()


class NobodyReadsError(click.ClickException):
    """The output cannot be written because its reader has gone."""


def unwritable(error: OSError) -> click.ClickException:
    """Return the error for output that could not be written."""
    text = f"the output cannot be written: {error.strerror}"
    if isinstance(error, BrokenPipeError):
        return NobodyReadsError(text)
    return click.ClickException(text)


def complain(text: str) -> None:
    """
    Print a line on stderr.

    One that cannot be written stops nothing; at the end, `all_was_said` tells.
    """
    try:
        sys.stderr.write(f"{_marked(_shown(text, sys.stderr))}\n")
        sys.stderr.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        _UNSAID.append(error)


def complain_once(text: str) -> None:
    """Print a failure on stderr, in one line whatever *text* has in it."""
    complain("dp: " + for_terminal(" ".join(text.splitlines())))


def is_read_as_it_comes() -> bool:
    """Tell whether stderr is a terminal, so that somebody may wait for a line there."""
    return sys.stderr is not None and sys.stderr.isatty()


class NoticeHandler(logging.Handler):
    """Prints what libraries log as sentences of the program, one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        complain_once(record.getMessage())


def all_was_said() -> bool:
    """Tell whether every line for stderr has been written there."""
    return not _UNSAID


_UNSAID: Final[list[OSError]] = []


def _shown(text: str, stream: TextIO | None) -> str:
    """Return *text* for a stream: without control characters for a terminal."""
    return for_terminal(text) if stream and stream.isatty() else text


# Colours --------------------------------------------------------------------

Colour: TypeAlias = Literal["green", "yellow", "red", "bold", "dim"]


def is_coloured(stream: TextIO | None) -> bool:
    """
    Tell whether what is written to a stream may have colours.

    It is a terminal, and the environment does not ask for none: by NO_COLOR
    (no-color.org), or, unless FORCE_COLOR or CLICOLOR_FORCE is there, by
    CLICOLOR=0 or a terminal that says that it is dumb.
    """
    if stream is None or os.environ.get("NO_COLOR") or not stream.isatty():
        return False
    if any(os.environ.get(name, "0") not in ("", "0") for name in _FORCING):
        return True
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    return not is_dumb and os.environ.get("CLICOLOR") != "0"


_FORCING: Final = ("FORCE_COLOR", "CLICOLOR_FORCE")


def in_colour(text: str, colour: Colour | None) -> str:
    """Return a text in a colour; as it is without one."""
    match colour:
        case None:
            return text
        case "bold":
            return click.style(text, bold=True)
        case "dim":
            return click.style(text, dim=True)
    return click.style(text, fg=colour)


_MARKS: Final[Mapping[str, Colour]] = {
    "dp:": "bold",
    "rejected:": "red",
    "pending": "yellow",
}
"""``{beginning of a line on stderr: its colour}``."""


def _marked(line: str) -> str:
    """Return a line for stderr, whose first word says on a terminal what it is."""
    for mark, colour in _MARKS.items():
        if line.startswith(mark) and is_coloured(sys.stderr):
            return in_colour(mark, colour) + line.removeprefix(mark)
    return line
