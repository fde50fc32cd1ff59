"""What the program prints, where, and the exit codes that go with it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, TextIO

import click

from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core.values import decode
from dp_core.wire import write_answer

__all__ = ["Status", "complain", "complain_once", "report", "say"]


class Status(IntEnum):
    """What stands after a command; the program's exit code."""

    RESOLVED = 0
    REJECTED = 1
    FAILED = 2
    """Nothing is known: a usage error, or the store could not be asked."""
    PENDING = 3
    INTERRUPTED = 130
    """By Ctrl-C, as shells say it (128 + SIGINT)."""


_STATUS: Final[Mapping[type[Any], Status]] = {
    Resolved: Status.RESOLVED,
    Rejected: Status.REJECTED,
    Pending: Status.PENDING,
}


def report(state: State[bytes] | Outcome[bytes], *, as_json: bool) -> Status:
    """
    Print what stands, and return the exit code that says it too.

    A string prints as it is and any other value as its JSON text, so that a
    value can be piped on. What is no value goes to stderr. As JSON, it is one
    line on stdout: the answer of the wire.
    """
    match state:
        case _ if as_json:
            say(write_answer(state).decode())
        case Resolved(text):
            say(decode(text) if text.startswith(b'"') else text.decode())
        case Rejected(error):
            complain(f"rejected: {error}")
        case Pending():
            complain("pending")
    return _STATUS[type(state)]


def say(text: str) -> None:
    """
    Print a line on stdout, in UTF-8 as it is stored.

    Raises:
        click.ClickException: It cannot be written.
    """
    try:
        click.echo(_shown(text, sys.stdout).encode())
    except OSError as error:
        # The interpreter would try once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.ClickException(
            f"the output cannot be written: {error.strerror}"
        ) from None


def complain(text: str) -> None:
    """Print a line on stderr."""
    click.echo(_shown(text, sys.stderr), err=True)


def complain_once(text: str) -> None:
    """Say what went wrong in one line, whatever *text* has in it."""
    complain("dp: " + _escaped(text.replace("\n", " ")))


# The C0 and C1 controls but tab and line feed, and what turns the direction of
# writing (Unicode TR36 §2.5): a stored value could drive a terminal with them.
_UNSAFE: Final = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def _shown(text: str, stream: TextIO | None) -> str:
    """Return *text* as *stream* may have it: a terminal only what is harmless."""
    return _escaped(text) if stream and stream.isatty() else text


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda match: json.dumps(match[0])[1:-1], text)
