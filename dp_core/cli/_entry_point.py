"""
`main`: the one way into the program ``dp``, and the one way out of it.

An exit code that means something must not be the one of a crash: 1 says that a
promise is rejected, and is also what the interpreter exits with after a traceback.
So whatever is raised, here or while the rest of the program is loaded, comes out
as one line on stderr and an exit code that says "not known". Nothing but the
standard library and two small modules of this package is loaded before.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn, TextIO

from dp_core._text import for_terminal, shortened
from dp_core.cli._status import Status

__all__ = ["main"]

_MAX_LINE = 500
_LAST_WORDS = b"dp: out of memory, or of disk; the state is not known\n"


def main() -> NoReturn:
    """Run the program, and exit."""
    try:
        _open_standard_streams()
        # In a function, because loading it may fail.
        from dp_core.cli._main import run  # noqa: PLC0415 - see above

        status = _checked(run())
    except BaseException as error:  # noqa: BLE001 - it is told, whatever it is
        status = _told(error)
    try:
        for stream in (sys.stdout, sys.stderr):
            if not _flushed(stream):
                status = Status.FAILED
        sys.exit(status)
    except MemoryError:
        # There is none for an end in good order, which would be an exit with 1.
        _give_up()
        os._exit(Status.FAILED)


def _open_standard_streams() -> None:
    """
    Open those standard streams with which the program was started closed.

    Else the store's next file gets the descriptor 1 or 2, and what is printed goes
    into that file. To use one of them stays the error that it was (EBADF): the
    descriptor is opened for the other direction, as the C library does for
    programs with set-user-ID.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor else os.O_WRONLY)
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the process
            setattr(sys, name, stream)


def _checked(result: object) -> Status:
    """
    Return a command's exit code.

    Raises:
        ValueError: A plugin's command returned something else.
    """
    if not isinstance(result, int) or result not in tuple(Status):
        raise ValueError(
            f"the command returned {_text(result)}, which is not a valid exit code"
        )
    return Status(result)


def _told(error: BaseException) -> Status:
    """Say in one line what ended the program; return its exit code."""
    try:
        first = _first(error)
        if isinstance(first, KeyboardInterrupt):
            return Status.INTERRUPTED
        if isinstance(first, SystemExit) and _is_completion(first):
            return Status.RESOLVED
        if sys.flags.dev_mode:
            sys.excepthook(type(error), error, error.__traceback__)
        line = for_terminal(f"dp: {_reason(first)}; the state is not known")
        sys.stderr.write(" ".join(line.splitlines()) + "\n")
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - no memory is left, or stderr is full
        _give_up()
    return Status.FAILED


def _give_up() -> None:
    """Say so, and make nothing for that: memory may be short."""
    try:  # noqa: SIM105 - suppress() makes an object
        os.write(2, _LAST_WORDS)
    except (OSError, MemoryError):
        pass


def _first(error: BaseException) -> BaseException:
    """Return the error that a group of them began with."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_completion(error: SystemExit) -> bool:
    # click answers the shell this way, and has its own exit codes for it.
    return "_DP_COMPLETE" in os.environ and not error.code


def _reason(error: BaseException) -> str:
    match error:
        case MemoryError():
            return "out of memory"
        case OSError(strerror=str(words)):
            where = "" if error.filename is None else f" ({_text(error.filename)})"
            return f"{words}{where}"
        case ImportError():
            return (
                f"a part of it cannot be imported ({_text(error)}); "
                "reinstall durable-promises"
            )
        case SystemExit():
            return f"something in it called exit({_text(error.code)})"
        case RuntimeError() if "start new thread" in _text(error):
            return "no thread can be started; raise the limit of processes (ulimit -u)"
    return (
        f"unexpected {type(error).__name__} at {_place(error)}: {_text(error)} "
        "(python -X dev -m dp_core shows where)"
    )


def _place(error: BaseException) -> str:
    """Return the file and line that raised an error."""
    traceback = error.__traceback__
    if traceback is None:
        return "an unknown place"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"


def _text(thing: object) -> str:
    try:
        return shortened(str(thing), _MAX_LINE)
    except Exception:  # noqa: BLE001 - a str may do anything
        return f"an object of type {type(thing).__name__}"


def _flushed(stream: TextIO) -> bool:
    """Write what a stream holds, so that the interpreter need not, at exit."""
    try:
        stream.flush()
    except (OSError, ValueError):
        # What cannot be written would be tried once more, and be another exit code.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - pathlib may not be loaded
            os.dup2(nowhere.fileno(), stream.fileno())
        return False
    return True
