"""Values on the command line and on stdin, JSON or else text; times in options."""

from __future__ import annotations

import os
import resource
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import click
import pytest

import dp_core
from dp_core.cli._times import brief, read_time, seconds
from support.core.program import PROGRAM, Run, said


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
    here: Run, words: tuple[str, ...], value: bytes
) -> None:
    """What reads as JSON is JSON, digit for digit; anything else is text."""
    expected = (0, b'{"value":%b}\n' % value, b"")
    assert expected == said(here("resolve", "--json", "id", *words))


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
    here: Run, words: tuple[str | bytes, ...], reason: bytes
) -> None:
    """What is neither text nor strict JSON is refused, and says why in a line."""
    refused = here("resolve", "id", *words)

    assert (2, b"") == (refused.returncode, refused.stdout)
    assert refused.stderr.startswith(b"dp: not a JSON value at $")
    assert reason in refused.stderr
    assert 1 == refused.stderr.count(b"\n")
    assert 3 == here("peek", "id").returncode


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
def test_a_dash_takes_the_value_from_stdin(
    here: Run, given: bytes, value: bytes
) -> None:
    """The text on stdin is the value, without its last line end."""
    done = here("resolve", "--json", "id", "-", input=given)

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
    here: Run, command: str, given: bytes, word: bytes
) -> None:
    """What is not a value's text in UTF-8 settles nothing, and the error says why."""
    done = here(command, "id", "-", input=given)

    assert (2, b"") == (done.returncode, done.stdout)
    assert done.stderr.startswith(b"dp: ")
    assert word in done.stderr
    assert 1 == done.stderr.count(b"\n")
    assert 3 == here("peek", "id").returncode


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


def test_a_rejection_may_come_from_stdin(here: Run) -> None:
    """For reject too, a dash stands for stdin; the message is always text."""
    done = here("reject", "--json", "id", "-", input=b"5\n")

    assert (1, b'{"error":"5"}\n', b"") == said(done)


# Times ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("3d", {"days": 3}),
        ("2h30m", {"hours": 2, "minutes": 30}),
        ("2h 30min", {"hours": 2, "minutes": 30}),
        ("90s", {"seconds": 90}),
        ("1.5h", {"minutes": 90}),
        ("1w2d", {"days": 9}),
        ("1m5ms", {"seconds": 60, "milliseconds": 5}),
        ("250ms", {"milliseconds": 250}),
        ("0s", {}),
    ],
)
def test_lengths_of_time(text: str, length: dict[str, float]) -> None:
    """The longest unit comes first, and each comes once."""
    assert timedelta(**length) == read_time(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30", 30),
        (" 0.5 ", 0.5),
        (" 10m", 600),
        ("0", 0),
        ("90s", 90),
        ("1m 30s", 90),
        ("1ms", 0.001),
    ],
)
def test_a_timeout_is_seconds_or_has_units(text: str, length: float) -> None:
    """A bare number is of seconds, as everywhere; units are those of other options."""
    option = click.Option(["--timeout"])
    assert length == seconds(click.Context(click.Command("get")), option, text)


@pytest.mark.parametrize(
    "text", ["", "-1", "nan", "inf", "1e999", "soon", "-5s", "9" * 12 + "w"]
)
def test_what_is_no_timeout_is_refused(text: str) -> None:
    """The error shows both forms."""
    option = click.Option(["--timeout"])
    with pytest.raises(click.BadParameter, match=r"such as 30 or 0\.5, or units"):
        seconds(click.Context(click.Command("get")), option, text)


@pytest.mark.parametrize(
    "text", ["", "d", "5", "-5s", "5 fortnights", "1s1m", "1d1d", "٣d", "1e3s", "inf"]
)
def test_no_lengths_of_time(text: str) -> None:
    """Anything else is refused, with the forms that there are."""
    with pytest.raises(ValueError, match="such as 3d, 2h30m or 90s, or a moment"):
        read_time(text)


def test_moments() -> None:
    """A moment has its zone, whichever it is."""
    expected = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)
    for text in ("2026-11-26T14:30:00Z", "2026-11-26 15:30:00+01:00"):
        assert expected == read_time(text)


@pytest.mark.parametrize(
    "text", ["0s", "59s", "1m30s", "1h", "23h59m", "3d", "3d23h", "400d"]
)
def test_a_length_is_shown_as_it_is_typed(text: str) -> None:
    """In the two largest units; it is rounded to the smaller of these."""
    length = read_time(text)
    assert isinstance(length, timedelta)

    assert text == brief(length)
    assert text == brief(length - timedelta(microseconds=1))


def test_a_value_is_shown_on_one_line(here: Run, env: dict[str, str]) -> None:
    """Stores keep the white space that they got, and numbers their digits."""

    async def settle() -> None:
        async with dp_core.connect(env["DP_URL"]) as promises:
            text = b'{"a":\n  [1.50,\r\n 2]}'
            await promises.backend.settle("id", dp_core.Resolved(text))

    anyio.run(settle)

    assert b'{"value":{"a":  [1.50, 2]}}\n' == here("peek", "id", "--json").stdout


def test_what_is_not_text_is_no_json(here: Run) -> None:
    """Bytes of an argument that are not UTF-8 settle nothing."""
    done = here("resolve", "id", "--json-value", b'"\xff"')

    assert (2, 1) == (done.returncode, done.stderr.count(b"\n"))
    assert b"it is not UTF-8" in done.stderr
    assert 3 == here("peek", "id").returncode


def test_a_stdin_that_cannot_be_read_is_said(dp: Run) -> None:
    """It was opened for writing, as by a slip in a script; nothing is settled."""
    stdin = os.open(os.devnull, os.O_WRONLY)
    try:
        done = dp("resolve", "id", "-", input=None, stdin=stdin)
    finally:
        os.close(stdin)

    assert (2, 1) == (done.returncode, done.stderr.count(b"\n"))
    assert b"stdin cannot be read: Bad file descriptor" in done.stderr
