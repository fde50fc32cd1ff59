"""`StateDiagram`: the state machine as a picture, made from its transition table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, final

from dp_core._states import TRANSITIONS
from dp_core.notebook.pictures._look import STYLES

__all__ = ["StateDiagram", "state_diagram"]

Table: TypeAlias = Mapping[type[Any], Mapping[type[Any], type[Any]]]

# JupyterLab draws once, in the colours of the theme of that moment. These read on any.
_COLOURS: Final = {
    "lineColor": "#808080",
    "edgeLabelBackground": "#eeeeee",
    "tertiaryTextColor": "#333333",
    "transitionLabelColor": "#333333",
}
_HEAD: Final = json.dumps({"theme": "base", "themeVariables": _COLOURS})


def state_diagram() -> StateDiagram:
    """Return the picture of `dp_core.TRANSITIONS`; it cannot differ from it."""
    return StateDiagram(TRANSITIONS)


@final
class StateDiagram:
    """
    A picture of ``{state: {command: next state}}``; shows itself in a notebook.

    JupyterLab draws the Mermaid text, also where the notebook is not trusted. Other
    front ends show the plain text.

    Args:
        table: The first state is the initial one.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.plain(), "text/vnd.mermaid": self.mermaid()}

    def __repr__(self) -> str:
        return self.plain()

    def arrows(self) -> dict[tuple[type[Any], type[Any]], list[str]]:
        """Return ``{(from, to): commands}``."""
        found: dict[tuple[type[Any], type[Any]], list[str]] = {}
        for state, row in self._table.items():
            for command, target in row.items():
                found.setdefault((state, target), []).append(command.__name__)
        return found

    def mermaid(self) -> str:
        """Return a Mermaid state diagram: https://mermaid.js.org."""
        lines = [f"%%{{init: {_HEAD}}}%%", "stateDiagram-v2", "    direction LR"]
        lines += [
            f'    state "{_label(state)}" as {state.__name__}' for state in self._table
        ]
        lines += [f"    [*] --> {state.__name__}" for state in list(self._table)[:1]]
        # Whatever arrow is the last, Mermaid finds room for it. The loop of the first
        # state would lie on the arrows that leave it.
        initial = next(iter(self._table), None)
        arrows = sorted(
            self.arrows().items(), key=lambda arrow: arrow[0] == (initial, initial)
        )
        lines += [
            f"    {state.__name__} --> {target.__name__}: {', '.join(commands)}"
            for (state, target), commands in arrows
        ]
        for state in self._table:
            style, name = STYLES.get(state, STYLES[None]), state.__name__
            ink = f"stroke:{style.ink},color:{style.ink}"
            lines += [
                f"    classDef {name} fill:{style.paper},{ink}",
                f"    class {name} {name}",
            ]
        return "\n".join(lines)

    def plain(self) -> str:
        """Return the table as plain text."""
        return "\n".join(
            f"{_label(state):<12} {', '.join(commands):<24} → "
            f"{_label(target)}{' (unchanged)' * _is_unchanged(state, target, commands)}"
            for (state, target), commands in self.arrows().items()
        )


def _label(state: type[Any]) -> str:
    return f"{STYLES.get(state, STYLES[None]).shape} {state.__name__}"


def _is_unchanged(state: type[Any], target: type[Any], commands: list[str]) -> bool:
    return state is target and "Dispose" not in commands
