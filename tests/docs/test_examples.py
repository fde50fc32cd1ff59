"""The examples, run as a learner runs them, on stores between processes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

import dp_core as dp
from dp_core.testing import DeadlineClock
from support.paths import EXAMPLES

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a new store."""
    return f"file:{tmp_path}/promises"


@pytest.fixture(params=["file", "http"])
def shared_url(request: pytest.FixtureRequest, url: str) -> Iterator[str]:
    """Return the URL of a new store of each kind that processes can share."""
    if request.param == "file":
        yield url
        return
    serve = [sys.executable, "-m", "dp_core", "serve", "--port", "0", "--url", url]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def command(name: str, *arguments: object) -> list[str]:
    """Return what runs an example."""
    return [sys.executable, str(EXAMPLES / name), *map(str, arguments)]


def run(
    name: str, *arguments: object, cwd: Path | None = None, **environment: str
) -> Done:
    """Run an example to its end."""
    return subprocess.run(
        command(name, *arguments),
        capture_output=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        text=True,
        timeout=120,
    )


@contextmanager
def running(
    name: str, *arguments: object, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run an example as long as a block; afterwards nothing of it is left."""
    with subprocess.Popen(
        command(name, *arguments),
        env={**os.environ, **environment},
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def seed_for(roles: str) -> int:
    """Return a seed that gives the processes these roles, R or A for each."""
    return next(
        seed
        for seed in range(10_000)
        if roles == "".join("AR"[drawn(seed + n) < 0.3] for n in range(len(roles)))
    )


def drawn(seed: int) -> float:
    """Return the number by which a process with this seed draws its role."""
    return random.Random(seed).random()  # noqa: S311 - chance, not secrecy


# Example 1 ------------------------------------------------------------------


def test_example_1_prints_what_the_reference_prints(shared_url: str) -> None:
    """The first completion wins; the second run finds it on the store."""
    value = "This promise will notify everyone"
    rest = (
        f"Result value: {value}\n"
        f"Actual result after completing: {value}\n"
        f"Actual result after rejection: {value}\n"
    )

    first, second = (run("example1.py", "id", shared_url) for _ in range(2))

    assert (0, f"Peeked value: null\n{rest}", "") == said(first)
    assert (0, f"Peeked value: {value}\n{rest}", "") == said(second)


def test_example_1_needs_no_arguments(tmp_path: Path) -> None:
    """Id and store have defaults: the reference's id, and DP_URL."""
    url = f"file:{tmp_path}/promises"
    assert 0 == run("example1.py", DP_URL=url).returncode

    again = run("example1.py", "my-durable-promise-id", url)
    assert "Peeked value: This promise" in again.stdout


def test_example_1_tells_a_rejection(url: str) -> None:
    """A promise that was rejected before is no failure of the example."""
    reject("id", url)

    assert (0, "", "no\n") == said(run("example1.py", "id", url))


# Example 2 ------------------------------------------------------------------


def test_example_2_resolves(url: str) -> None:
    """In the role to RESOLVE, it prints what the reference prints."""
    done = run("example2.py", "id", url, "--seed", seed_for("R"))
    pid = done.stdout.split()[0]

    expected = [
        f"{pid} will RESOLVE the promise",
        f"{pid} : Peek 'id' = 'null'",
        f"{pid} : Resolving 'id' to 'Completed by {pid}'",
        f"{pid} : 'id' actually resolved to 'Completed by {pid}'",
    ]
    assert (0, "") == (done.returncode, done.stderr)
    assert expected == done.stdout.splitlines()


def test_example_2_awaits(url: str) -> None:
    """In the role to AWAIT, it prints its last line once somebody resolved."""
    with running("example2.py", "id", url, "--seed", seed_for("A")) as waiter:
        assert waiter.stdout is not None
        lines = [waiter.stdout.readline().rstrip() for _ in range(3)]
        run("example1.py", "id", url)
        lines += waiter.communicate(timeout=60)[0].splitlines()

    assert 0 == waiter.returncode
    pid = waiter.pid
    assert [
        f"{pid} will AWAIT the promise",
        f"{pid} : Peek 'id' = 'null'",
        f"{pid} : Awaiting 'id'...",
        f"{pid} : Got result for 'id' = 'This promise will notify everyone'",
    ] == lines


@pytest.mark.parametrize("role", ["R", "A"])
def test_example_2_tells_a_rejection(url: str, role: str) -> None:
    """In both roles, a rejected promise is told on stderr, as the reference does."""
    reject("id", url)
    done = run("example2.py", "id", url, "--seed", seed_for(role))

    assert (0, "no\n") == (done.returncode, done.stderr)
    assert 1 == len(done.stdout.splitlines())


def test_example_2_resolves_with_probability_0_3(url: str) -> None:
    """The line between the roles is where the reference draws it."""
    below = next(seed for seed in range(10_000) if 0.299 < drawn(seed) < 0.3)
    above = next(seed for seed in range(10_000) if 0.3 <= drawn(seed) < 0.301)

    assert "will RESOLVE" in run("example2.py", "id", url, "--seed", below).stdout
    assert "will AWAIT" in run("example2.py", "id", url, "--seed", above).stdout


# Example 3 ------------------------------------------------------------------

LINE = re.compile(
    r"(?P<pid>\d+) (?:will (?P<role>AWAIT|RESOLVE) the promise"
    r"|: Peek 'id' = '(?P<peeked>null|Completed by \d+)'"
    r"|: (?P<step>Awaiting 'id'\.\.\.|Resolving 'id' to 'Completed by (?P=pid)')"
    r"|: (?:'id' actually resolved to|Got result for 'id' =) '(?P<value>.*)')"
)


def test_example_3_has_one_outcome(shared_url: str) -> None:
    """Ten processes, four lines each, and one value that one of them made."""
    done = run("example3.py", "id", shared_url)
    first, *lines, last = done.stdout.splitlines()

    assert (0, "") == (done.returncode, done.stderr)
    assert "Running 10 forks of the promise example process..." == first
    assert "Done." == last
    matches = [LINE.fullmatch(line) for line in lines if "Nobody" not in line]
    assert None not in matches
    found = [match.groupdict() for match in matches if match]
    assert 4 * 10 == len(found)
    for pid in {row["pid"] for row in found}:
        kinds = [
            next(key for key, value in row.items() if value and key != "pid")
            for row in found
            if row["pid"] == pid
        ]
        assert ["role", "peeked", "step", "value"] == kinds
    assert 1 == len({row["value"] for row in found if row["value"]})


def test_example_3_resolves_itself_when_nobody_drew_it(url: str) -> None:
    """Without a process in the role to RESOLVE, it says so and does it."""
    done = run("example3.py", "id", url, 3, "--seed", seed_for("AAA"))

    assert (0, "") == (done.returncode, done.stderr)
    assert "Done." == done.stdout.splitlines()[-1]
    [word] = [line for line in done.stdout.splitlines() if "Nobody" in line]
    assert "all drew to AWAIT it" in word
    value = f"Completed by {word.split()[0]}"
    assert 3 == done.stdout.count(f"Got result for 'id' = '{value}'\n")


def test_example_3_keeps_an_older_outcome(url: str) -> None:
    """A promise of an earlier run is not resolved again, nor is that said."""
    run("example1.py", "id", url)
    done = run("example3.py", "id", url, 2, "--seed", seed_for("AA"))

    assert (0, "") == (done.returncode, done.stderr)
    assert "Nobody" not in done.stdout
    old = "'This promise will notify everyone'"
    assert 2 == done.stdout.count(f"Got result for 'id' = {old}\n")


@pytest.mark.parametrize(
    ("roles", "method", "word"),
    [("RA", "get", None), ("RA", "resolve", "whoever drew to RESOLVE it died")],
)
def test_example_3_reports_a_process_that_dies(
    url: str, tmp_path: Path, roles: str, method: str, word: str | None
) -> None:
    """The others still get their outcome, whichever role the dead one had."""
    in_processes(tmp_path, method, "os.kill(os.getpid(), signal.SIGKILL)")
    done = run(
        "example3.py",
        "id",
        url,
        2,
        "--seed",
        seed_for(roles),
        PYTHONPATH=str(tmp_path),
    )

    assert (1, "Script exited with code -9\n") == (done.returncode, done.stderr)
    assert "Done." not in done.stdout
    assert 1 == len(re.findall("actually resolved to|Got result", done.stdout))
    assert (word is None) == ("Nobody" not in done.stdout)
    assert (word or "") in done.stdout


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_example_3_leaves_no_process_behind(
    url: str, tmp_path: Path, stop: signal.Signals
) -> None:
    """Ctrl-C ends its processes, also those that do not hear of it themselves."""
    in_processes(tmp_path, "peek", "await asyncio.sleep(3600)")
    with running("example3.py", "id", url, 3, PYTHONPATH=str(tmp_path)) as parent:
        assert parent.stdout is not None
        for _ in range(4):
            parent.stdout.readline()
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(stop)
        _, errors = parent.communicate(timeout=60)
        left = [child for child in children if child.is_running()]

    assert (130, "") == (parent.returncode, errors)
    assert 3 == len(children)
    assert [] == left


def test_example_3_tells_a_wrong_store() -> None:
    """A store that cannot be opened is one line, before any process starts."""
    done = run("example3.py", "id", "nowhere:", 2)

    assert 1 == done.returncode
    assert done.stderr.startswith("no backend for store URL 'nowhere:'")
    assert 1 == done.stderr.count("\n")


# Example 5 ------------------------------------------------------------------


def asked_and_killed(url: str) -> str:
    """Let a process ask for an approval, and kill it; return what it said."""
    with running("example5.py", "id", url) as asker:
        assert asker.stdout is not None
        waiting = asker.stdout.readline()
        asker.kill()
    assert waiting.startswith("Waiting for 'id' until 2")
    return waiting


def test_example_5_is_answered_while_nobody_asks(url: str) -> None:
    """An answer from a shell counts though the asker was killed, with its name."""
    waiting = asked_and_killed(url)
    yes = from_shell(url, "resolve", "id", '"yes"', "--by", "alice")
    again = run("example5.py", "id", url)

    assert (0, "yes\n", "") == said(yes)
    assert (0, f"{waiting}Decided by alice: yes\n", "") == said(again)


def test_example_5_ends_though_nobody_is_there(url: str) -> None:
    """A deadline settles what a killed process asked for, and stays with any clock."""
    waiting = asked_and_killed(url)
    late = dp.Rejected("nobody answered in time")

    async def days_later() -> None:
        async with dp.connect(url) as promises:
            promise = promises.promise("id")
            assert dp.Pending() == await promise.peek()
            clock.advance(timedelta(days=3))
            assert late == await promise.resolve("yes", by="alice")
            clock.advance(timedelta(days=-4))
            assert late == await promise.peek()

    with DeadlineClock() as clock:
        asyncio.run(days_later())
    again = run("example5.py", "id", url)
    decided = "Decided by the deadline: no, nobody answered in time"
    assert (0, f"{waiting}{decided}\n", "") == said(again)


# The demo -------------------------------------------------------------------


def test_the_demo_shows_what_happened(tmp_path: Path) -> None:
    """It sums up, and prints the promise as the file that it names has it."""
    done = run("demo.py", cwd=tmp_path)

    assert (0, "") == (done.returncode, done.stderr)
    [outcome] = re.findall(
        r"All 10 have the same outcome: '(Completed by \d+)'", done.stdout
    )
    [(path, content)] = re.findall(
        r"\$ cat (\S+)\n(\{.*?\n\}\n)", done.stdout, re.DOTALL
    )
    record = (tmp_path / path).read_text(encoding="utf-8")
    assert content == record
    assert outcome == json.loads(record)["resolved"]


def in_processes(directory: Path, method: str, code: str) -> None:
    """Make the processes of example 2 run *code* in a method of promises."""
    (directory / "sitecustomize.py").write_text(
        f"""
import sys

if any(word.endswith("example2.py") for word in sys.orig_argv):
    import asyncio, os, signal
    import dp_core

    async def method(self, *arguments):
        {code}

    dp_core.DurablePromise.{method} = method
"""
    )


def reject(id: str, url: str) -> None:
    """Reject a promise from another process."""
    assert 1 == from_shell(url, "reject", id, "no").returncode


def from_shell(url: str, *words: str) -> Done:
    """Run dp on a store."""
    program = [sys.executable, "-m", "dp_core", *words, "--url", url]
    return subprocess.run(program, capture_output=True, check=False, text=True)


def said(done: Done) -> tuple[int, str, str]:
    """Return everything that a caller can notice."""
    return done.returncode, done.stdout, done.stderr
