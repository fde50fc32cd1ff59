"""The installation: how ``dp`` is started, its backends, and what shells complete."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dp_core
from support.core.program import PROGRAM, SCRIPTS, Run


def test_both_ways_to_start_it_are_one_program() -> None:
    """``dp`` and ``python -m dp_core`` call themselves dp and have one version."""
    for program in ((SCRIPTS / "dp",), PROGRAM):
        output = subprocess.check_output([*program, "--version"], text=True)
        assert f"dp {dp_core.__version__}\n" == output


def test_help_loads_no_event_loop() -> None:
    """Only commands that do something pay for what they need."""
    script = (
        "import sys; from dp_core.cli._main import program; "
        "program.main(['--help'], standalone_mode=False); "
        "print(*{'asyncio', 'trio', 'msgspec', 'starlette'} & {*sys.modules})"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert output.startswith("Usage:")
    assert "" == output.splitlines()[-1]


def test_the_library_loads_no_driver() -> None:
    """Whoever imports the library, and uses one store, pays for no other."""
    script = (
        "import sys, dp_core; dp_core.connect('memory:'); "
        "print({'apsw', 'psycopg', 'httptools'} & {*sys.modules})"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert "set()\n" == output


def test_backends_lists_what_is_installed(dp: Run) -> None:
    """Every scheme is listed with its package and whether it loads."""
    table = dp("backends").stdout.decode().splitlines()
    rows = json.loads(dp("backends", "--json").stdout)

    ours = {"package": "durable-promises", "error": None}
    assert {"scheme": "file", **ours} in rows
    assert {"scheme": "memory", **ours} in rows
    assert [row["scheme"] for row in rows] == [line.split()[0] for line in table]
    assert ["file", "durable-promises", "ok"] == table[0].split()
    assert 1 == len({line.index("durable-promises") for line in table})
    assert 1 == len({line.rindex("ok") for line in table})


def test_a_broken_plugin_hurts_only_its_own_scheme(
    dp: Run, env: dict[str, str], tmp_path: Path
) -> None:
    """It is listed with its error, and named where its scheme is used."""
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text("[dp_core]\nbroken = no_such_module\n")
    env["PYTHONPATH"] = str(tmp_path / "site")

    reason = b"plugin 'no_such_module' of broken cannot be imported"
    listed = dp("backends").stdout
    assert reason in listed
    assert b"no backend for" not in listed
    assert reason in dp("peek", "id", "--url", "broken:").stderr
    assert 3 == dp("peek", "id").returncode


def test_bash_completes_commands(env: dict[str, str]) -> None:
    """The script that ``dp completion bash`` prints works in bash."""
    script = (
        'eval "$(dp completion bash)"; COMP_WORDS=(dp pe); COMP_CWORD=1; '
        '_dp_completion dp; echo "${COMPREPLY[@]}"'
    )
    output = subprocess.check_output(["bash", "-c", script], env=env, text=True)

    assert ["peek"] == output.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_too(dp: Run, env: dict[str, str], shell: str) -> None:
    """Their scripts call dp back, and it answers with commands and schemes."""
    script = dp("completion", shell).stdout.decode()
    assert f"_DP_COMPLETE={shell}_complete" in script

    asked = {
        "_DP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "dp pe",
        "COMP_CWORD": "pe" if shell == "fish" else "1",
    }
    assert b"peek" in dp(env=env | asked).stdout
    asked |= {
        "COMP_WORDS": "dp --url me",
        "COMP_CWORD": "me" if shell == "fish" else "2",
    }
    assert b"memory:" in dp(env=env | asked).stdout
