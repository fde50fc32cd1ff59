"""The program ``dp``, run as a user runs it."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dp_core

PROGRAM = (sys.executable, "-m", "dp_core")
SCRIPTS = Path(sys.executable).parent

Done = subprocess.CompletedProcess[bytes]
Run = Callable[..., Done]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose default store is a new directory."""
    path = f"{SCRIPTS}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DP_URL": f"file:{tmp_path}/promises"}


@pytest.fixture
def dp(env: dict[str, str]) -> Run:
    """Return a function that runs the program to its end."""

    def run(*arguments: str | bytes, **options: Any) -> Done:
        options = {"input": b"", "env": env, "timeout": 60} | options
        return subprocess.run(
            [*PROGRAM, *arguments], capture_output=True, check=False, **options
        )

    return run


def said(done: Done) -> tuple[int, bytes, bytes]:
    """Return everything that a caller of the program can notice."""
    return done.returncode, done.stdout, done.stderr


# Values ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ((), b"null"),
        (("5",), b"5"),
        (("1.10",), b"1.10"),
        (("true",), b"true"),
        (("hello",), b'"hello"'),
        (("01",), b'"01"'),
        (("",), b'""'),
        (('"5"',), b'"5"'),
        (('{"a": [1, 2]}',), b'{"a":[1,2]}'),
        (("--text", "5"), b'"5"'),
        (("--text", '{"a":'), b'"{\\"a\\":"'),
        (("--json-value", "5"), b"5"),
        (("--", "-5"), b"-5"),
    ],
)
def test_a_value_is_json_or_else_text(
    dp: Run, words: tuple[str, ...], value: bytes
) -> None:
    """What reads as JSON is JSON, digit for digit; anything else is text."""
    expected = (0, b'{"value":%b}\n' % value, b"")
    assert expected == said(dp("resolve", "--json", "id", *words))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (('{"a": 1,',), b"line 1, column 9"),
        (('"open',), b"Unterminated string"),
        (("NaN",), b"JSON has no NaN"),
        (("1e400",), b"JSON has no inf"),
        (('{"a": 1, "a": 2}',), b"twice"),
        (("--json-value", "hello"), b"Expecting value"),
        ((b"\xff",), b"surrogate"),
    ],
)
def test_a_slip_in_a_value_settles_nothing(
    dp: Run, words: tuple[str | bytes, ...], reason: bytes
) -> None:
    """What is neither text nor strict JSON is refused, and says why in a line."""
    refused = dp("resolve", "id", *words)

    assert (2, b"") == (refused.returncode, refused.stdout)
    assert refused.stderr.startswith(b"dp: not a JSON value at $")
    assert reason in refused.stderr
    assert 1 == refused.stderr.count(b"\n")
    assert 3 == dp("peek", "id").returncode


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (b" 5\n", b"5"),
        (b"hello\n", b'"hello"'),
        (b"two\nlines\n\n", b'"two\\nlines\\n"'),
        ("é".encode(), '"é"'.encode()),
        (b"\xef\xbb\xbfhello\r\n", b'"hello"'),
        (b"\xef\xbb\xbf5\r\n", b"5"),
        (b'\xef\xbb\xbf{"a":\r\n1}\r\n', b'{"a":1}'),
        (b"one\r\ntwo\r\n", b'"one\\ntwo"'),
        (b"\xef\xbb\xbf", b'""'),
        (b"\r", b'"\\r"'),
    ],
)
def test_a_dash_takes_the_value_from_stdin(dp: Run, given: bytes, value: bytes) -> None:
    """The text on stdin is the value, without its last line end."""
    done = dp("resolve", "--json", "id", "-", input=given)

    assert (0, b'{"value":%b}\n' % value, b"") == said(done)


@pytest.mark.parametrize("command", ["resolve", "reject"])
@pytest.mark.parametrize(
    ("given", "word"),
    [
        (b"\xff", b"not UTF-8"),
        (b"caf\xe9\r\n", b"not UTF-8"),
        ("hello".encode("utf-16"), b"UTF-16"),
        ("hello".encode("utf-16-le"), b"UTF-16"),
        ("hello".encode("utf-16-be"), b"UTF-16"),
        ("\ufeffhello".encode("utf-32-be"), b"UTF-16"),
        (b" " * (4 * 1024 * 1024 + 1), b"store the bulk elsewhere"),
    ],
)
def test_stdin_that_is_not_text_is_refused(
    dp: Run, command: str, given: bytes, word: bytes
) -> None:
    """What is not a value's text in UTF-8 settles nothing, and the error says why."""
    done = dp(command, "id", "-", input=given)

    assert (2, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(b"dp: ")
    assert word in done.stderr
    assert 1 == done.stderr.count(b"\n")
    assert 3 == dp("peek", "id").returncode


def test_stdin_without_an_end_is_refused(env: dict[str, str]) -> None:
    """As much is read as a value can have, and no more."""
    with Path("/dev/zero").open("rb") as endless, Path("/dev/urandom").open("rb") as r:
        for stdin in (endless, r):
            done = subprocess.run(
                [*PROGRAM, "resolve", "id", "-"],
                env=env,
                stdin=stdin,
                capture_output=True,
                check=False,
                timeout=60,
                preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_AS, (1 << 30, 1 << 30)
                ),
            )
            assert 2 == done.returncode
            assert b"stdin has more than 4,194,304 bytes" in done.stderr


def test_a_rejection_may_come_from_stdin(dp: Run) -> None:
    """For reject too, a dash stands for stdin; the message is always text."""
    done = dp("reject", "--json", "id", "-", input=b"5\n")

    assert (1, b'{"error":"5"}\n', b"") == said(done)


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
    dp: Run,
    settle: tuple[str, ...],
    plain: tuple[int, bytes, bytes],
    wire: bytes | None,
) -> None:
    """
    Peek and get agree with the command that settled, in words and in JSON.

    Get does so also when it has no time at all.
    """
    wait = ("get", "--timeout", "0")
    dp("resolve", "another")  # makes the store
    if settle:
        assert plain == said(dp(*settle))

    assert plain == said(dp("peek", "id")) == said(dp(*wait, "id"))
    if wire is not None:
        answer = (plain[0], wire, b"")
        assert (
            answer
            == said(dp("--json", "peek", "id"))
            == said(dp(*wait, "id", "--json"))
        )


def test_a_lost_race_is_told(dp: Run) -> None:
    """Who comes late gets what stands, its exit code, and a word on stderr."""
    dp("resolve", "id", "first")

    word = b"dp: already resolved; yours changed nothing\n"
    assert (0, b"first\n", word) == said(dp("resolve", "id", "second"))
    assert (0, b"first\n", word) == said(dp("reject", "id", "no"))
    assert (0, b'{"value":"first"}\n', word) == said(dp("reject", "--json", "id", "no"))
    assert (0, b"first\n", b"") == said(dp("resolve", "id", "first"))


def test_a_late_resolve_of_a_rejected_promise_exits_with_1(dp: Run) -> None:
    """The exit code is about the promise, not about the command."""
    dp("reject", "id", "no")

    word = b"dp: already rejected; yours changed nothing\n"
    assert (1, b"", word + b"rejected: no\n") == said(dp("resolve", "id", "5"))


def test_dispose_makes_the_promise_pending(dp: Run) -> None:
    """Dispose ends with 0 and says nothing; as JSON, it says what stands."""
    dp("resolve", "id", "5")

    assert (0, b"", b"") == said(dp("dispose", "id"))
    assert 3 == dp("peek", "id").returncode
    assert (0, b"null\n", b"") == said(dp("dispose", "--json", "id"))


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


@contextmanager
def running(*arguments: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program as long as a block, and no longer."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*PROGRAM, *arguments], env=env, stdout=pipe, stderr=pipe
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_watching(pid: int) -> None:
    """Return when the process watches its store, and so is waiting."""
    descriptors = Path(f"/proc/{pid}/fd")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for descriptor in descriptors.iterdir():
            try:
                if "inotify" in str(descriptor.readlink()):
                    return
            except FileNotFoundError:
                continue
        time.sleep(0.01)
    pytest.fail("the process does not watch its store")


# The command line -----------------------------------------------------------


def test_an_id_may_begin_with_a_dash(dp: Run) -> None:
    """After --, an id or value is taken as it is."""
    assert (0, b"-v\n", b"") == said(dp("resolve", "--", "-id", "-v"))
    assert (0, b"-v\n", b"") == said(dp("peek", "--", "-id"))


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
        (("get", "id", "--timeout", "nan"), b"not a valid number of seconds"),
        (("get", "id", "--timeout", "-1"), b"not a valid number of seconds"),
        (("get", "id", "--timeout", "soon"), b"not a valid float"),
        (("peek", ""), b"it is empty"),
        (("peek", b"\xff"), b"surrogate"),
        (("--url", "ftp://host", "peek", "id"), b"the schemes known here are"),
        (("peek", "id", "--url", "promises"), b"'file:promises'"),
        (("peek", "id", "--url", "localhost:8080"), b"'http://localhost:8080'"),
        (("peek", "id", "--url", "127.0.0.1:80/p"), b"'http://127.0.0.1:80/p'"),
        (("peek", "id", "--url", "[::1]:80"), b"'http://[::1]:80'"),
        (("peek", "id", "--url", "file:p\r"), b"a control character"),
        (("peek", "a\nb" * 999), b"invalid promise id"),
    ],
)
def test_an_error_is_one_line(
    dp: Run, arguments: tuple[str | bytes, ...], message: bytes
) -> None:
    """Whatever is wrong, it is said in one line on stderr, with exit code 2."""
    done = dp(*arguments)

    assert (2, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(b"dp: ")
    assert message in done.stderr
    assert 1 == done.stderr.count(b"\n")


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


def test_both_ways_to_start_it_are_one_program() -> None:
    """``dp`` and ``python -m dp_core`` call themselves dp and have one version."""
    for program in ((SCRIPTS / "dp",), PROGRAM):
        output = subprocess.check_output([*program, "--version"], text=True)
        assert f"dp {dp_core.__version__}\n" == output


def test_without_a_command_it_says_what_there_is(dp: Run) -> None:
    """The help is an answer, but not one to the question what stands."""
    done = dp()

    assert (2, b"") == (done.returncode, done.stdout)
    for command in ("peek", "get", "resolve", "reject", "dispose", "backends"):
        assert f"\n  {command} ".encode() in done.stderr


def test_help_loads_no_event_loop() -> None:
    """Only commands that do something pay for what they need."""
    script = (
        "import sys; from dp_core.cli._main import program; "
        "program.main(['--help'], standalone_mode=False); "
        "print(*{'asyncio', 'trio', 'msgspec', 'starlette'} & {*sys.modules})"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert output.startswith("Usage:")
    assert "" == output.splitlines()[-1]


# The installation -----------------------------------------------------------


def test_backends_lists_what_is_installed(dp: Run) -> None:
    """Every scheme is listed with its package and whether it loads."""
    table = dp("backends").stdout.decode().splitlines()
    rows = json.loads(dp("backends", "--json").stdout)

    ours = {"package": "durable-promises", "error": None}
    assert {"scheme": "file", **ours} in rows
    assert {"scheme": "memory", **ours} in rows
    assert [row["scheme"] for row in rows] == [line.split()[0] for line in table]
    assert ["file", "durable-promises", "ok"] == table[0].split()


def test_a_broken_plugin_hurts_only_its_own_scheme(
    dp: Run, env: dict[str, str], tmp_path: Path
) -> None:
    """It is listed with its error, and named where its scheme is used."""
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text("[dp_core]\nbroken = no_such_module\n")
    env["PYTHONPATH"] = str(tmp_path / "site")

    reason = b"plugin 'no_such_module' of broken cannot be imported"
    assert reason in dp("backends").stdout
    assert reason in dp("peek", "id", "--url", "broken:").stderr
    assert 3 == dp("peek", "id").returncode


def test_bash_completes_commands(env: dict[str, str]) -> None:
    """The script that ``dp completion bash`` prints works in bash."""
    script = (
        'eval "$(dp completion bash)"; COMP_WORDS=(dp pe); COMP_CWORD=1; '
        '_dp_completion dp; echo "${COMPREPLY[@]}"'
    )
    output = subprocess.check_output(["bash", "-c", script], env=env, text=True)

    assert ["peek"] == output.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_too(dp: Run, env: dict[str, str], shell: str) -> None:
    """Their scripts call dp back, and it answers with commands and schemes."""
    script = dp("completion", shell).stdout.decode()
    assert f"_DP_COMPLETE={shell}_complete" in script

    asked = {
        "_DP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "dp pe",
        "COMP_CWORD": "pe" if shell == "fish" else "1",
    }
    assert b"peek" in dp(env=env | asked).stdout
    asked |= {
        "COMP_WORDS": "dp --url me",
        "COMP_CWORD": "me" if shell == "fish" else "2",
    }
    assert b"memory:" in dp(env=env | asked).stdout


@pytest.mark.parametrize(
    "words", [("peek", "id"), ("get", "--timeout", "0", "id"), ("peek", "--json", "id")]
)
def test_a_question_makes_no_store(
    dp: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A misspelt directory is not made, and stderr says that there is no store."""
    done = dp(*words, "--url", f"file:{tmp_path}/promisses")

    assert 3 == done.returncode
    assert b"dp: there is no store at 'file:" in done.stderr
    assert b"promisses" in done.stderr
    assert not (tmp_path / "promisses").exists()


def test_nothing_is_copied_from_a_store_that_is_not_there(
    dp: Run, tmp_path: Path
) -> None:
    """It is an error, for a listing and for named ids, and nothing is made."""
    urls = (f"file:{tmp_path}/promisses", f"file:{tmp_path}/target")
    for options in ((), ("--ids", "-")):
        done = dp("copy", *urls, *options, input=b"id\n")
        assert 2 == done.returncode
        assert b"dp: there is no store at" in done.stderr
        assert b"" == done.stdout
    assert not (tmp_path / "promisses").exists()


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
