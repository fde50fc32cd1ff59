"""The program ``dp``, run as a user runs it; in this process where that is the same."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from support.core.program import PROGRAM, Run, running, said, wait_until_watching

# What is printed, and the exit code -----------------------------------------


@pytest.mark.parametrize(
    ("settle", "plain", "wire"),
    [
        ((), (3, b"", b"pending\n"), b"null\n"),
        (("resolve", "id", "two\nlines"), (0, b"two\nlines\n", b""), None),
        (("resolve", "id", "[1, 2]"), (0, b"[1,2]\n", b""), b'{"value":[1,2]}\n'),
        (("resolve", "id", "null"), (0, b"null\n", b""), b'{"value":null}\n'),
        (("reject", "id", "no"), (1, b"", b"rejected: no\n"), b'{"error":"no"}\n'),
    ],
)
def test_exit_code_and_output_say_what_stands(
    here: Run,
    settle: tuple[str, ...],
    plain: tuple[int, bytes, bytes],
    wire: bytes | None,
) -> None:
    """
    Peek and get agree with the command that settled, in words and in JSON.

    Get does so also when it has no time at all.
    """
    wait = ("get", "--timeout", "0")
    here("resolve", "another")  # makes the store
    if settle:
        assert plain == said(here(*settle))

    assert plain == said(here("peek", "id")) == said(here(*wait, "id"))
    if wire is not None:
        answer = (plain[0], wire, b"")
        assert (
            answer
            == said(here("--json", "peek", "id"))
            == said(here(*wait, "id", "--json"))
        )


def test_a_lost_race_is_told(here: Run) -> None:
    """Who comes late gets what stands, its exit code, and a word on stderr."""
    here("resolve", "id", "first")

    word = b"dp: already resolved; yours changed nothing\n"
    assert (0, b"first\n", word) == said(here("resolve", "id", "second"))
    assert (0, b"first\n", word) == said(here("reject", "id", "no"))
    assert (0, b'{"value":"first"}\n', word) == said(
        here("reject", "--json", "id", "no")
    )
    assert (0, b"first\n", b"") == said(here("resolve", "id", "first"))


def test_a_late_resolve_of_a_rejected_promise_exits_with_1(here: Run) -> None:
    """The exit code is about the promise, not about the command."""
    here("reject", "id", "no")

    word = b"dp: already rejected; yours changed nothing\n"
    assert (1, b"", word + b"rejected: no\n") == said(here("resolve", "id", "5"))


def test_dispose_makes_the_promise_pending(here: Run) -> None:
    """Dispose ends with 0 and says nothing; as JSON, it says what stands."""
    here("resolve", "id", "5")

    assert (0, b"", b"") == said(here("dispose", "id"))
    assert 3 == here("peek", "id").returncode
    assert (0, b"null\n", b"") == said(here("dispose", "--json", "id"))


def test_get_waits_for_another_process(dp: Run, env: dict[str, str]) -> None:
    """A value that comes while get waits ends it."""
    assert 0 == dp("resolve", "other", "x").returncode
    with running("get", "id", env=env) as waiter:
        assert 0 == dp("resolve", "id", "hello").returncode

        assert (b"hello\n", b"") == waiter.communicate(timeout=60)
        assert 0 == waiter.returncode


def test_a_disposed_promise_ends_get(dp: Run, env: dict[str, str]) -> None:
    """The waiter gets an error of ours and exit code 2."""
    assert 0 == dp("resolve", "other", "x").returncode
    with running("get", "id", env=env) as waiter:
        wait_until_watching(waiter.pid)
        dp("dispose", "id")
        _, error = waiter.communicate(timeout=60)

    assert 2 == waiter.returncode
    assert error.startswith(b"dp: promise 'id' was disposed of")
    assert 1 == error.count(b"\n")


def test_an_interrupt_ends_get_with_130(dp: Run, env: dict[str, str]) -> None:
    """Ctrl-C leaves no traceback."""
    assert 0 == dp("resolve", "other", "x").returncode
    with running("get", "id", env=env) as waiter:
        wait_until_watching(waiter.pid)
        waiter.send_signal(signal.SIGINT)
        output = waiter.communicate(timeout=60)

    assert 130 == waiter.returncode
    assert (b"", b"") == (output[0], output[1].strip())


# The command line -----------------------------------------------------------


def test_an_id_may_begin_with_a_dash(here: Run) -> None:
    """After --, an id or value is taken as it is."""
    assert (0, b"-v\n", b"") == said(here("resolve", "--", "-id", "-v"))
    assert (0, b"-v\n", b"") == said(here("peek", "--", "-id"))


def test_the_store_is_named_by_option_or_environment(
    dp: Run, env: dict[str, str], tmp_path: Path
) -> None:
    """The option beats DP_URL, on either side of the command; else ./promises."""
    url = f"file:{tmp_path}/other"
    dp("--url", url, "resolve", "id", "other")
    here = {name: value for name, value in env.items() if name != "DP_URL"}
    dp("resolve", "id", "here", env=here, cwd=tmp_path)

    assert b"other\n" == dp("peek", "id", "--url", url).stdout
    assert b"other\n" == dp("peek", "id", env=env | {"DP_URL": url}).stdout
    assert b"here\n" == dp("peek", "id").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("peek",), b"Missing argument 'ID'; see 'dp peek --help'"),
        (("pick", "id"), b"No such command 'pick'"),
        (("peek", "id", "--jsn"), b"No such option '--jsn'"),
        (("resolve", "id", "-5"), b"comes after '--'"),
        (("get", "id", "--timeout", "nan"), b"not a valid length of time"),
        (("get", "id", "--timeout", "-1"), b"not a valid length of time"),
        (("get", "id", "--timeout", "soon"), b"such as 10m"),
        (("get", "id", "--timeout", "1_0"), b"write seconds, such as 30 or 0.5"),
        (("get", "id", "--timeout", "\u0661\u0660"), b"not a valid length of time"),
        (("list", "--limit", "1_0"), b"'1_0' is not a valid whole number; write"),
        (("list", "--limit", "\u0661\u0660"), b"is not a valid whole number; write"),
        (("list", "--limit", "0"), b"not in the range"),
        (("conformance", "memory:", "--seed", "1_0"), b"not a valid whole number"),
        (("peek", ""), b"it is empty"),
        (("peek", b"\xff"), b"surrogate"),
        (("--url", "ftp://host", "peek", "id"), b"the schemes known here are"),
        (("peek", "id", "--url", "promises"), b"'file:promises'"),
        (("peek", "id", "--url", "localhost:8080"), b"'http://localhost:8080'"),
        (("peek", "id", "--url", "127.0.0.1:80/p"), b"'http://127.0.0.1:80/p'"),
        (("peek", "id", "--url", "[::1]:80"), b"'http://[::1]:80'"),
        (("peek", "id", "--url", "file:p\r"), b"a control character"),
        (("peek", "id", "--url", ""), b"store URL '': it is empty (a variable"),
        (("--url", "", "resolve", "id"), b"store URL '': it is empty (a variable"),
        (("peek", "a\nb" * 999), b"invalid promise id"),
    ],
)
def test_an_error_is_one_line(
    here: Run, arguments: tuple[str | bytes, ...], message: bytes
) -> None:
    """Whatever is wrong, it is said in one line on stderr, with exit code 2."""
    done = here(*arguments)

    assert (2, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(b"dp: ")
    assert message in done.stderr
    assert 1 == done.stderr.count(b"\n")


def test_an_empty_variable_counts_as_not_set(
    dp: Run, env: dict[str, str], tmp_path: Path
) -> None:
    """A program may start another one without ``DP_URL`` so, and all the same here."""
    done = dp("resolve", "id", "1", env=env | {"DP_URL": ""}, cwd=tmp_path)

    assert (0, b"1\n") == (done.returncode, done.stdout)
    assert [*tmp_path.glob("promises*")]


def test_output_that_cannot_be_written_is_an_error(dp: Run) -> None:
    """Exit code 0 or 1 is only for what was also said."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "completion", "fish"], stdout=full, stderr=-1, check=False
        )

    assert 2 == done.returncode
    assert b"dp: the output cannot be written: No space left on device\n" == done.stderr


def test_a_terminal_gets_no_control_characters(dp: Run, env: dict[str, str]) -> None:
    """On a terminal a value cannot drive it; in a pipe it is as it was."""
    value = "a\x1b[31mb\u009b1m\u202ec\td\r\r\ne"
    said = f"{value}\n".encode().replace(b"\r\n", b"\n")
    assert said == dp("resolve", "id", "--text", "-", input=value.encode()).stdout

    shown = b"a\\u001b[31mb\\u009b1m\\u202ec\td\\u000d\r\ne\r\n"
    assert shown == on_terminal([*PROGRAM, "peek", "id"], env)


def on_terminal(command: list[str], env: dict[str, str]) -> bytes:
    """Run a command whose stdout is a terminal, and return what it shows."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(command, env=env, stdout=theirs) as process:
            assert 0 == process.wait(60)
        return os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_help_lists_all_commands(dp: Run) -> None:
    """Ours in the order in which a newcomer meets them, then those of packages."""
    done = dp("--help")

    assert (0, b"") == (done.returncode, done.stderr)
    _, _, listed = done.stdout.decode().partition("\nCommands:\n")
    names = re.findall(r"^  (\w+)", listed.partition("\n\n")[0], re.MULTILINE)
    assert ["peek", "get", "resolve", "reject", "dispose"] == names[:5]
    assert ["doctor", "restate"] == names[-2:]


@pytest.mark.parametrize(
    "words", [("peek", "id"), ("get", "--timeout", "0", "id"), ("peek", "--json", "id")]
)
def test_a_question_makes_no_store(
    here: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A misspelt directory is not made, and stderr says that there is no store."""
    done = here(*words, "--url", f"file:{tmp_path}/promisses")

    assert 3 == done.returncode
    assert b"dp: there is no store at 'file:" in done.stderr
    assert b"promisses" in done.stderr
    assert not (tmp_path / "promisses").exists()


def test_nothing_is_copied_from_a_store_that_is_not_there(
    here: Run, tmp_path: Path
) -> None:
    """It is an error, for a listing and for named ids, and nothing is made."""
    urls = (f"file:{tmp_path}/promisses", f"file:{tmp_path}/target")
    for options in ((), ("--ids", "-")):
        done = here("copy", *urls, *options, input=b"id\n")
        assert 2 == done.returncode
        assert b"dp: there is no store at" in done.stderr
        assert b"" == done.stdout
    assert not (tmp_path / "promisses").exists()


@pytest.mark.parametrize(
    "words", [("resolve", "x", "5"), ("get", "x", "--timeout", "0"), ("list",)]
)
@pytest.mark.parametrize("url", ["memory:", "memory:mine"])
def test_a_store_in_memory_is_said_to_be_nobodys(
    dp: Run, url: str, words: tuple[str, ...]
) -> None:
    """On stderr, in one line, before all else; the command is done all the same."""
    done = dp(*words, "--url", url)

    first, *_ = done.stderr.decode().splitlines()
    assert first.startswith(f"dp: '{url}' is in the memory of this command: nobody")
    assert {"resolve": 0, "get": 3, "list": 0}[words[0]] == done.returncode


def test_home_is_a_tilde(dp: Run, env: dict[str, str], tmp_path: Path) -> None:
    """file:~/p is below HOME, wherever it is used."""
    env["HOME"] = str(tmp_path / "home")
    assert 0 == dp("resolve", "id", "x", "--url", "file:~/p").returncode

    assert b"x\n" == dp("peek", "id", "--url", f"file:{tmp_path}/home/p").stdout
    assert b"x\n" == dp("peek", "id", env=env | {"DP_URL": "file:~/p"}, cwd="/").stdout
    assert not Path("~").exists()


@pytest.mark.parametrize("words", [("-h",), ("peek", "-h"), ("serve", "-h")])
def test_h_is_help(dp: Run, words: tuple[str, ...]) -> None:
    """The short option is known to every command."""
    assert dp(*words[:-1], "--help").stdout == dp(*words).stdout
