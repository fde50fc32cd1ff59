"""Pictures of events and of promises: tables, lane charts, diagrams, live output."""

from dp_core._public import publish
from dp_core.notebook.pictures._board import Board, board
from dp_core.notebook.pictures._cell_output import (
    LiveOutput,
    bundle,
    in_notebook,
    show,
)
from dp_core.notebook.pictures._chart import symbol_of
from dp_core.notebook.pictures._diagram import StateDiagram, state_diagram
from dp_core.notebook.pictures._lanes import Lanes, lanes
from dp_core.notebook.pictures._live import refresh, watch
from dp_core.notebook.pictures._look import (
    STYLES,
    StateStyle,
    pill,
    preview,
    promise_bundle,
    several,
    style_of,
)
from dp_core.notebook.pictures._markup import Element
from dp_core.notebook.pictures._timeline import Timeline
from dp_core.notebook.pictures._waiting_notice import WaitingNotices

__all__ = [
    "STYLES",
    "Board",
    "Element",
    "Lanes",
    "LiveOutput",
    "StateDiagram",
    "StateStyle",
    "Timeline",
    "WaitingNotices",
    "board",
    "bundle",
    "in_notebook",
    "lanes",
    "pill",
    "preview",
    "promise_bundle",
    "refresh",
    "several",
    "show",
    "state_diagram",
    "style_of",
    "symbol_of",
    "watch",
]

publish(__name__, __all__)
