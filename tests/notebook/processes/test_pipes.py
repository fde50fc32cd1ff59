"""Reports of processes travel through a pipe."""

from __future__ import annotations

import os
from pathlib import Path

from dp_core.notebook import JournalEvent
from dp_core.notebook.processes import Pipes


def test_reports_arrive_whole_or_not_at_all(tmp_path: Path) -> None:
    """Lines arrive as events, also in pieces; a line that is not one is left out."""
    pipes = Pipes(str(tmp_path))
    heard: list[JournalEvent] = []
    _, reports = pipes.inherited
    try:
        os.write(
            reports, b'{"process": "a", "pid": 1, "kind": "won", "at": 1.0}\n{"pro'
        )
        pipes.drain(heard.append)
        os.write(
            reports, b'cess": "b", "pid": 2, "kind": "got", "at": 2.0}\nhalf a l\n'
        )
        pipes.drain(heard.append)
    finally:
        pipes.close()

    assert [("a", "won"), ("b", "got")] == [(e.process, e.kind) for e in heard]
