"""`on_terminal`: a program on a real terminal, and what it shows there."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

__all__ = ["on_terminal"]


def on_terminal(
    command: Sequence[str], env: Mapping[str, str], columns: int = 100
) -> tuple[int, str]:
    """Run a program to its end; return its exit code, and all that it has shown."""
    ours, theirs = pty.openpty()
    try:
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        # COLUMNS would be believed before the terminal.
        asked = {name: value for name, value in env.items() if name != "COLUMNS"}
        with subprocess.Popen(
            command, env=asked, stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            theirs = -1
            shown = b""
            while data := _read(ours):
                shown += data
        return process.returncode, shown.decode()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # EIO: nobody has the other end any more.
        return b""
