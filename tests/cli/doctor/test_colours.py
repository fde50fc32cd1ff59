"""Colours: on a terminal that takes them, and nowhere else."""

from __future__ import annotations

import os
import pty
from collections.abc import Callable

import pytest

from dp_core.cli._output import is_coloured
from support.core.program import PROGRAM, Run
from support.core.terminals import on_terminal

Fill = Callable[..., None]

NAMES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM")


@pytest.fixture
def plain_env(env: dict[str, str], fill: Fill) -> dict[str, str]:
    """Return an environment that says nothing of colours, with a store of two."""
    fill(["good"], {"bad": "no"})
    return {name: value for name, value in env.items() if name not in NAMES}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "xterm", "CLICOLOR": "0"}, False),
        ({"TERM": "xterm", "CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"TERM": "dumb", "FORCE_COLOR": "0"}, False),
    ],
)
def test_the_environment_lets_a_terminal_have_colours(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], *, expected: bool
) -> None:
    """By NO_COLOR, then FORCE_COLOR and CLICOLOR_FORCE, then CLICOLOR and TERM."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with open(ours), open(theirs, "w") as terminal, open(os.devnull, "w") as pipe:  # noqa: PTH123 - descriptors
        assert (expected, False) == (is_coloured(terminal), is_coloured(pipe))


def test_no_color_is_kept_by_the_program(plain_env: dict[str, str]) -> None:
    """On a terminal of many colours, where states have some without it."""
    for asked, expected in (({}, True), ({"NO_COLOR": "1"}, False)):
        env = plain_env | {"TERM": "xterm"} | asked
        shown = on_terminal((*PROGRAM, "list"), env)[1]
        assert expected == ("\x1b[32mresolved\x1b[0m" in shown)
        assert expected == ("\x1b" in shown)


def test_a_pipe_gets_none(
    here: Run, plain_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says: what a script reads depends on nobody's."""
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TERM", "xterm")
    for command in ((), ("list",), ("info", "good"), ("watch", "good"), ("doctor",)):
        done = here(*command)
        assert b"\x1b" not in done.stdout + done.stderr
        assert done.stdout


def test_each_command_has_them_on_a_terminal(plain_env: dict[str, str]) -> None:
    """States, the words of a diagnosis, and the first word of a line on stderr."""
    env = plain_env | {"TERM": "xterm"}
    for command, marks in {
        ("info", "bad"): ["\x1b[31mrejected\x1b[0m", "\x1b[2mid "],
        ("watch", "good"): ["good \x1b[32mresolved\x1b[0m 1"],
        ("peek", "bad"): ["\x1b[31mrejected:\x1b[0m no"],
        ("peek", "other"): ["\x1b[33mpending\x1b[0m"],
        ("resolve", "bad", "1"): ["\x1b[1mdp:\x1b[0m already rejected;"],
        ("doctor",): ["\x1b[32mok      \x1b[0m"],
        (): ["\x1b[31mrejected\x1b[0m"],
    }.items():
        shown = on_terminal((*PROGRAM, *command), env)[1]
        assert [] == [mark for mark in marks if mark not in shown], shown


def test_a_row_that_is_cut_in_its_state_has_no_colour(
    plain_env: dict[str, str],
) -> None:
    """A colour that began would not end."""
    env = plain_env | {"TERM": "xterm"}
    shown = on_terminal((*PROGRAM, "list"), env, columns=14)[1]

    assert 3 == len(shown.splitlines())
    assert "\x1b[3" not in shown


def test_json_on_a_terminal_is_json(plain_env: dict[str, str]) -> None:
    """Without a colour, so that it can be copied."""
    env = plain_env | {"TERM": "xterm"}

    assert "\x1b" not in on_terminal((*PROGRAM, "list", "--json"), env)[1]
