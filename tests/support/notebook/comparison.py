"""Outputs of two runs of a notebook, without what differs from run to run."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

__all__ = ["VARIES", "normal_outputs"]

VARIES: Final = "varies"
"""The tag of a cell in which chance decides, such as who of two is the first."""

_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z| UTC)?"
)
_TIME: Final = re.compile(r"(?<![\w.])\d+(\.\d+)? ?(µs|ms|s)\b")
_ID: Final = re.compile(r"(?<![^\W_])[0-9a-f]{8,}\b|(?<=-)[0-9a-f]{6}\b")
_NUMBER: Final = re.compile(r"(?<![\w.])\d{3,}\b")
"""A pid, a port, or a seed."""

_WAITED: Final = re.compile(r"(waited |… waiting for |… this cell waits for )")
"""What is shown if something takes longer than half a second."""

_PICTURE: Final = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")


def normal_outputs(cell: Mapping[str, Any]) -> list[str]:
    """
    Return what a cell has put out, as lines in alphabetical order.

    Without pids, times and ids; and of pictures their style, because all things in
    them are where their times are. Lines are sorted, because processes speak at
    once. Of a cell that varies only the kinds of its outputs are left.
    """
    lines: list[str] = []
    varies = VARIES in cell["metadata"].get("tags", ())
    for output in cell.get("outputs", ()):
        data = output.get("data", {"text": output.get("text", "")})
        plain = "".join(data.get("text/plain", ""))
        if _WAITED.match(plain):
            continue
        lines.append(f"({output['output_type']}: {', '.join(sorted(data))})")
        if not varies:
            lines += _lines(data, plain)
    return sorted(set(lines)) if varies else sorted(lines)


def _lines(data: Mapping[str, Any], plain: str) -> Sequence[str]:
    html = "".join(data.get("text/html", ""))
    pictures = [_made_of(match[1]) for match in _PICTURE.finditer(html)]
    if pictures:
        return pictures
    text = "\n".join([plain, html, "".join(data.get("text", ""))])
    return [_normal(line) for line in text.split("\n") if line.strip()]


def _normal(line: str) -> str:
    for pattern, stands_for in (
        (_MOMENT, "MOMENT"),
        (_TIME, "TIME"),
        (_ID, "ID"),
        (_NUMBER, "NUMBER"),
    ):
        line = pattern.sub(stands_for, line)
    # Columns are as wide as what is in them.
    return re.sub(r" +", " ", line.strip())


def _made_of(data: str) -> str:
    """Return what does not depend on times: how it is placed, and its style sheet."""
    root = ET.fromstring(base64.b64decode(data))  # noqa: S314 - made by us
    sheets = [
        "".join(one.itertext()) for one in root.iter() if one.tag.endswith("style")
    ]
    return f"picture {sorted(root.attrib)} {sheets}"
