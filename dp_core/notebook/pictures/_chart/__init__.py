"""The lane chart: its axis, lanes, symbols and colours, laid out and drawn as SVG."""

from dp_core.notebook.pictures._chart._axis import pause
from dp_core.notebook.pictures._chart._lane_chart import LaneChart
from dp_core.notebook.pictures._chart._lettering import width_of
from dp_core.notebook.pictures._chart._paints import PAINTS
from dp_core.notebook.pictures._chart._scale import Slot, TimeScale
from dp_core.notebook.pictures._chart._symbols import legend_symbols, symbol_of

__all__ = [
    "PAINTS",
    "LaneChart",
    "Slot",
    "TimeScale",
    "legend_symbols",
    "pause",
    "symbol_of",
    "width_of",
]
