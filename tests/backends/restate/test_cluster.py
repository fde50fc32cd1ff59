"""A cluster of three restate-servers, one of which is killed and loses its disk."""

from __future__ import annotations

import subprocess
import sys

import psutil

from support.paths import EXAMPLES
from support.restate import free_ports

CLUSTER = EXAMPLES / "cluster.py"
PROMISES = 15


def test_one_of_three_servers_may_die(program: None) -> None:
    """The example, which asserts each value, ends and prints each step."""
    port = free_ports(12, in_a_row=True)[0]
    with subprocess.Popen(
        [sys.executable, CLUSTER, f"--port={port}", f"--promises={PROMISES}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            servers = [
                child.pid
                for child in psutil.Process(process.pid).children(recursive=True)
                if child.name() == "restate-server"
            ]
            lines = [line, *process.stdout]
        finally:
            process.terminate()

    said = [line.partition(" s  ")[2].rstrip() for line in lines]
    assert 0 == process.returncode, lines
    assert 3 == len(servers)
    assert said[2].endswith("is killed (kill -9) and its directory erased")
    assert f"{2 * PROMISES} acknowledged promises are all there" in said
    assert f"{PROMISES} waiters have got their values" in said
    assert f"{PROMISES} new promises are settled and read" in said
    assert "Done." == said[-1]
    assert not any(psutil.pid_exists(pid) for pid in servers)
