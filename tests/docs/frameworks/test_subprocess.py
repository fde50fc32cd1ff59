"""A parent whose children answer by promise, and what is left when one is killed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import psutil
import pytest

import dp_core as dp
from support.docs.programs import FRAMEWORKS, python, running, state, until

PROGRAM: Final = FRAMEWORKS / "subprocess_children.py"
SAID: Final = "2262 primes below 20000\n"


def in_children(place: Path, code: str) -> dict[str, str]:
    """Return an environment in which children run *code* before they settle."""
    (place / "sitecustomize.py").write_text(f"""
import asyncio, os, pathlib, signal, sys

if len(sys.orig_argv) == 4:
    import dp_core

    settle = dp_core.DurablePromise.resolve

    async def resolve(self, value):
        here = pathlib.Path({str(place)!r})
        {code}

    dp_core.DurablePromise.resolve = resolve
""")
    return {"PYTHONPATH": str(place), "DP_URL": f"file:{place}/promises"}


DIE: Final = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_child_that_was_killed_is_started_again(tmp_path: Path, when: str) -> None:
    """Whether it was killed before it answered or just after, the sum is right."""
    first = "not (here / self.id).exists()"
    mark = "(here / self.id).touch()"
    code = {
        "before": f"if {first}: {mark}; {DIE}\n        await settle(self, value)",
        "after": f"await settle(self, value); {mark}; {DIE}",
    }[when]
    environment = in_children(tmp_path, code)

    assert (0, SAID) == python(PROGRAM, "run", cwd=tmp_path, **environment)
    assert 4 == len(list(tmp_path.glob("run-*")))


def test_a_child_that_dies_each_time_is_given_up(tmp_path: Path) -> None:
    """The parent ends, and says which part had no answer."""
    environment = in_children(
        tmp_path, f"self.id == 'run-2' and {DIE}; await settle(self, value)"
    )

    code, said = python(PROGRAM, "run", cwd=tmp_path, **environment)

    assert 1 == code
    assert "its process died 3 times" in said
    assert "'run-2'" in said.splitlines()[-1]
    assert dp.Rejected("its process died 3 times") == state(
        environment["DP_URL"], "run-2"
    )


def test_a_parent_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Old children and new ones answer the same promises; nothing is asked twice."""
    url = f"file:{tmp_path}/promises"
    environment = in_children(
        tmp_path,
        """
        if self.id == "run-0":
            (here / f"waiting-{os.getpid()}").touch()
            while not (here / "gate").exists():
                await asyncio.sleep(0.01)
        await settle(self, value)""",
    )
    with running(PROGRAM, "run", cwd=tmp_path, **environment) as parent:
        until(lambda: all(settled(url, f"run-{part}") for part in (1, 2, 3)))
        until(lambda: [*tmp_path.glob("waiting-*")])
        parent.kill()
        parent.wait()
        with running(PROGRAM, "run", cwd=tmp_path, **environment) as again:
            until(lambda: len([*tmp_path.glob("waiting-*")]) == 2)
            assert 1 == len(psutil.Process(again.pid).children())
            (tmp_path / "gate").touch()
            assert SAID == again.communicate()[0]


def settled(url: str, id: str) -> bool:
    """Return whether a promise has an outcome."""
    return isinstance(state(url, id), dp.Resolved | dp.Rejected)


def test_a_parent_that_is_interrupted_leaves_no_child(tmp_path: Path) -> None:
    """Ctrl-C in the parent ends children that do not hear of it themselves."""
    environment = in_children(tmp_path, "(here / self.id).touch(); signal.pause()")
    with running(PROGRAM, "run", cwd=tmp_path, **environment) as parent:
        until(lambda: len(list(tmp_path.glob("run-*"))) == 4)
        children = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGINT)
        parent.communicate(timeout=60)

    assert 4 == len(children)
    assert [] == [child for child in children if child.is_running()]
