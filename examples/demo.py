"""
Watch ten processes share one promise on disk, and see what is left of it.

Runs example 3 on the embedded file store, with an id nobody has used before,
and sums up. This is what ``make demo`` shows.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

PROCESSES = 10
STORE = Path("promises")
EXAMPLE_3 = Path(__file__).with_name("example3.py")
COLOURS = [31, 32, 33, 34, 35, 36, 91, 92, 94, 95]
COLOUR_OF: dict[str, int] = {}

ROLE = re.compile(r"\d+ will (\w+) the promise$")
OUTCOME = re.compile(r"\d+ : .*(?:actually resolved to|Got result for .*) '(.*)'$")

WHAT_TO_TRY = """\
Await a promise in one shell, and resolve it from another:

    {dp} get greeting
    {dp} resolve greeting hello

The code of this demo, to read and to change: examples/example1.py (one promise,
from all sides), example2.py (what each process ran), example3.py (all of them).

Serve the store to other languages and machines, and ask it with curl:

    {dp} serve
    curl localhost:8080/promise/peek -H 'content-type: application/json' \\
         -d '{{"promiseId": "{id}"}}'
"""


def main() -> int:
    """Run the processes and sum up; return the exit code."""
    id = f"demo-{secrets.token_hex(4)}"
    heading(f"{PROCESSES} processes, one promise: {id}")
    lines = run(id)
    roles = Counter(match[1] for line in lines if (match := ROLE.match(line)))
    outcomes = Counter(match[1] for line in lines if (match := OUTCOME.match(line)))
    if outcomes.total() != PROCESSES or len(outcomes) != 1:
        print(f"This must not happen; the outcomes are {dict(outcomes)}")
        return 1

    [outcome] = outcomes
    record = record_of(id)
    heading("What happened")
    print(
        f"{roles['RESOLVE']} of {PROCESSES} processes tried to resolve the promise, "
        f"{roles['AWAIT']} awaited it.\n"
        f"All {PROCESSES} have the same outcome: {outcome!r}.\n"
        "The processes are gone; the promise is still there. It is one file:\n\n"
        f"$ cat {record}\n{record.read_text(encoding='utf-8')}",
        end="",
    )
    heading("What to try next")
    dp = os.path.relpath(Path(sys.executable).with_name("dp"))
    print(WHAT_TO_TRY.format(dp=dp, id=id), end="")
    return 0


def run(id: str) -> list[str]:
    """Run example 3 to its end, and return the lines that it printed."""
    command = [sys.executable, str(EXAMPLE_3), id, f"file:./{STORE}", str(PROCESSES)]
    start = time.monotonic()
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                show(lines[-1], time.monotonic() - start)
        except KeyboardInterrupt:
            # It stops its own processes, and we wait for it.
            process.terminate()
            raise
    if process.returncode:
        sys.exit(process.returncode)
    return lines


def record_of(id: str) -> Path:
    """Return the file of a promise; it is named after the hash of the id."""
    name = sha256(id.encode()).hexdigest()
    return STORE / "p" / name[:2] / f"{name}.json"


def show(line: str, seconds: float) -> None:
    """Print a line; on a terminal with its time, and in its process's colour."""
    if sys.stdout.isatty():
        pid = line.partition(" ")[0]
        colour = COLOUR_OF.setdefault(pid, COLOURS[len(COLOUR_OF) % len(COLOURS)])
        line = f"\033[2m{seconds:6.3f} s\033[0m  \033[{colour}m{line}\033[0m"
    print(line, flush=True)


def heading(text: str) -> None:
    """Print the title of what follows."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}\n", flush=True)


if __name__ == "__main__":
    # A polite kill ends like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
