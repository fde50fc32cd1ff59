"""`report`, `say` and others print on stdout; `complain` prints all else on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Final, TextIO

import click

from dp_core._safe_text import for_terminal
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import PromiseInfo
from dp_core.cli._status import STATUS_OF, Status
from dp_core.values import decode, encode
from dp_core.wire import write_answer, write_info

__all__ = [
    "NobodyReadsError",
    "NoticeHandler",
    "all_was_said",
    "complain",
    "complain_once",
    "info_line",
    "one_line",
    "report",
    "say",
    "say_info",
    "say_json",
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
        case Pending():
            complain("pending")
    return STATUS_OF[type(state)]


def say(text: str) -> None:
    """
    Print a line on stdout, in UTF-8 as it is stored.

    Raises:
        click.ClickException: It cannot be written.
    """
    line = f"{_shown(text, sys.stdout)}\n"
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(line.encode(errors="backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        # The interpreter would try once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise unwritable(error) from None


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
    if b"\n" in text or b"\r" in text:
        text = encode(decode(text), sys.maxsize)
    return text.decode()


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
        sys.stderr.write(f"{_shown(text, sys.stderr)}\n")
        sys.stderr.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        _UNSAID.append(error)


def complain_once(text: str) -> None:
    """Print a failure on stderr, in one line whatever *text* has in it."""
    complain("dp: " + for_terminal(" ".join(text.splitlines())))


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
