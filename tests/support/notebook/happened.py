"""Whether what a notebook shows is what happened, by the operating system's account."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Mapping
from html import unescape
from itertools import permutations
from typing import Any, Final

from support.notebook.witness import Seen, Witness

__all__ = ["ASK", "assert_it_happened"]

ASK: Final = """
import json as _json
from dataclasses import asdict as _asdict
from dp_core.notebook import JOURNAL as _journal
from dp_core.notebook._cover import covered as _covered
_ids = sorted({event.id for event in _journal if event.id})
_ids = _ids[:: len(_ids) // 100 + 1]
print(_json.dumps(indent=0, obj={
    "journal": [_asdict(event) for event in _journal],
    "pictures": {id: [_asdict(e) for e in _covered(_journal, [id])] for id in _ids},
}))
"""
"""
A last cell of a notebook, which prints its journal, and what pictures show of it.

Of thousands of promises it takes about a hundred; in many lines, because nbclient takes
very long over very long ones.
"""

_ENDS: Final = ("killed", "ended", "stopped")
_LABEL: Final = re.compile(r"^(\S+) (\d+(?: → \d+)*)  ", re.MULTILINE)
_WORDS: Final = re.compile(r"Lane chart.*?<pre>(.*?)</pre>", re.DOTALL)
_LIFE: Final = re.compile(
    r" s  (\S+) (\d+)  (process starts|killed|stopped|process ends)"
)

_SURE: Final = 3
"""Looks apart that make an order sure: a look takes time, and so does being told."""


def assert_it_happened(notebook: Any, told: str, witness: Witness) -> None:
    """
    Compare a notebook's journal, and its lanes, with what the witness saw.

    Args:
        notebook: With the outputs of its run.
        told: What `ASK` printed.
        witness: It watched the run.
    """
    known = json.loads(told)
    journal = known["journal"]
    starts = {e["pid"]: e for e in journal if e["kind"] == "started"}
    ends = {e["pid"]: e for e in journal if e["kind"] in _ENDS}
    _assert_pids(starts, ends, witness)
    _assert_order(starts, ends, list(witness.seen.values()))
    lives = [e for e in journal if e["kind"] in ("started", *_ENDS)]
    for picture in known["pictures"].values():
        _assert_whole(picture, lives)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "Lane chart" in data.get("text/html", ""):
                _assert_shown(data["text/plain"], data["text/html"], witness)


def _assert_pids(
    starts: Mapping[int, Any], ends: Mapping[int, Any], witness: Witness
) -> None:
    """Each process that was there is in the journal, by name, with how it ended."""
    seen, statuses = witness.seen, witness.statuses
    assert {pid: one.name for pid, one in seen.items()} == {
        pid: event["process"] for pid, event in starts.items()
    }
    gone_before_the_end = {pid for pid in seen if pid in statuses}
    assert ends.keys() <= gone_before_the_end
    for pid, event in ends.items():
        status = statuses[pid]
        if os.WIFSIGNALED(status):
            assert event["kind"] in ("killed", "stopped")
            assert os.WTERMSIG(status) == signal.SIGKILL
            assert event["text"] == ("signal 9" if event["kind"] == "killed" else "")
        else:
            assert ("ended", f"exit code {os.WEXITSTATUS(status)}") == (
                event["kind"],
                event["text"],
            )
    for one in seen.values():
        *before, _ = witness.named(one.name)
        assert {earlier.pid for earlier in before} <= ends.keys()


def _assert_order(
    starts: Mapping[int, Any], ends: Mapping[int, Any], seen: list[Seen]
) -> None:
    """What was seen to be before is before in the journal, in all lanes."""
    for one, other in permutations(seen, 2):
        if one.first + _SURE < other.first:
            assert starts[one.pid]["at"] < starts[other.pid]["at"]
        if one.pid in ends and one.gone and one.gone + _SURE < other.first:
            assert ends[one.pid]["at"] < starts[other.pid]["at"]
        both_ended = {one.pid, other.pid} <= ends.keys() and one.gone
        if both_ended and one.gone + _SURE < other.gone:
            assert ends[one.pid]["at"] < ends[other.pid]["at"]


def _assert_whole(picture: list[Any], lives: list[Any]) -> None:
    """A picture has all starts and ends of its processes in the time it covers."""
    first, last = picture[0]["at"], picture[-1]["at"]
    processes = {event["process"] for event in picture}
    for event in lives:
        if event["process"] in processes and first <= event["at"] <= last:
            assert event in picture


def _assert_shown(plain: str, html: str, witness: Witness) -> None:
    """Lanes have the pids in their order, and every process but the last has an end."""
    [words] = _WORDS.findall(html)
    told = _LIFE.findall(unescape(words))
    for name, pids in _LABEL.findall(plain):
        if not (known := [one.pid for one in witness.named(name)]):
            continue  # The notebook itself.
        shown = [int(pid) for pid in pids.split(" → ")]
        places = [known.index(pid) for pid in shown]
        assert places == sorted(places)
        ended = {int(pid) for who, pid, what in told if what != "process starts"}
        begun = {int(pid) for who, pid, what in told if what == "process starts"}
        assert ended >= {*shown[:-1]}, (name, shown)
        assert begun >= {*shown[1:]}, (name, shown)
        for pid in ended & {*known}:
            assert pid in witness.statuses
