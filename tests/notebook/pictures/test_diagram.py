"""The state diagram is made from the table that the library runs."""

from __future__ import annotations

import re

import dp_core as dp
from dp_core import Pending, Resolved
from dp_core.notebook import StateDiagram, state_diagram
from support.notebook.markup import contrast


def test_every_entry_of_the_table_is_an_arrow() -> None:
    """The Mermaid text has all transitions, and no other arrow but the first."""
    lines = [line.strip() for line in state_diagram().mermaid().splitlines()]
    drawn = {
        (state, target, command)
        for line in lines
        if " --> " in line and ": " in line
        for arrow, _, commands in [line.partition(": ")]
        for state, _, target in [arrow.partition(" --> ")]
        for command in commands.split(", ")
    }

    assert drawn == {
        (state.__name__, target.__name__, command.__name__)
        for state, row in dp.TRANSITIONS.items()
        for command, target in row.items()
    }
    assert 9 == len(drawn)
    assert ["[*] --> Pending"] == [line for line in lines if line.startswith("[*]")]
    assert "stateDiagram-v2" == lines[1]


def test_the_loop_of_the_first_state_is_the_last_arrow() -> None:
    """Mermaid draws it beside the others then, and not across them."""
    arrows = [
        line.strip().partition(": ")[0]
        for line in state_diagram().mermaid().splitlines()
        if " --> " in line
    ]

    assert "Pending --> Pending" == arrows[-1]


def test_the_colours_are_those_of_no_theme() -> None:
    """A diagram that was drawn on light paper stays readable when the page is dark."""
    head = state_diagram().mermaid().splitlines()[0]
    colours = dict(re.findall(r'"(\w+)": "(#\w{6})"', head))

    assert '"theme": "base"' in head
    light, dark = "#ffffff", "#111111"
    assert 3 <= min(contrast(colours["lineColor"], paper) for paper in (light, dark))
    labels = colours["transitionLabelColor"], colours["edgeLabelBackground"]
    assert 4.5 <= contrast(*labels)


def test_the_text_twin() -> None:
    """Front ends that do not draw Mermaid show the table in characters."""
    diagram = state_diagram()

    assert "✔ Resolved   Resolve, Reject          → ✔ Resolved (unchanged)" in (
        diagram.plain().splitlines()
    )
    assert {
        "text/plain": diagram.plain(),
        "text/vnd.mermaid": diagram.mermaid(),
    } == diagram._repr_mimebundle_()


def test_it_changes_with_the_table() -> None:
    """Another table gives another picture."""
    other = StateDiagram({Pending: {dp.Resolve: Resolved}, Resolved: {}})

    assert 1 == len(other.arrows())
    assert "Pending --> Resolved: Resolve" in other.mermaid()
    assert "Rejected" not in other.mermaid() + other.plain()
