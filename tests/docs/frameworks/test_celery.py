"""The Celery task that settles a promise: workers killed with a job in hand."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Final

import pytest

import dp_core as dp
from support.docs.programs import FRAMEWORKS, python, running, state, until

PROGRAM: Final = FRAMEWORKS / "celery_worker.py"
DIE_ONCE: Final = """
import os, pathlib, signal
from celery import signals
from celery_worker import app

app.conf.worker_lost_wait = 0.1  # seconds; ten by default

@signals.{when}.connect
def die(**_):
    mark = pathlib.Path("died")
    if not mark.exists():
        mark.touch()
        {how}
        os.kill(os.getpid(), signal.SIGKILL)
"""


def worker(
    place: Path, app: str = "celery_worker"
) -> AbstractContextManager[Popen[str]]:
    """Run a worker of Celery, with one process for jobs."""
    words = ("-m", "celery", "-A", app, "worker", "--concurrency", "1")
    paths = f"{FRAMEWORKS}:{place}"
    return running(*words, cwd=place, PYTHONPATH=paths, DP_URL=url_of(place))


def url_of(place: Path) -> str:
    """Return the URL of the store there."""
    return f"file:{place}/promises"


def ask(place: Path, patience: float = 60) -> tuple[int, str]:
    """Ask for a result, and wait for it."""
    program = f"import celery_worker; print(celery_worker.ask(84, 2, {patience}))"
    return python("-c", program, cwd=place, DP_URL=url_of(place))


@pytest.mark.parametrize("when", ["task_prerun", "task_postrun"])
def test_a_job_whose_process_was_killed_is_run_again(tmp_path: Path, when: str) -> None:
    """Killed before it settled or just after, there is one result."""
    (tmp_path / "dying.py").write_text(DIE_ONCE.format(when=when, how=""))
    with worker(tmp_path, "dying"):
        assert (0, "42.0\n") == ask(tmp_path)
        # After it settled, nobody waits for the job's second run.
        until((tmp_path / "died").exists)


def test_a_job_that_died_with_its_worker_is_asked_for_again(tmp_path: Path) -> None:
    """The broker has lost it; whoever waits puts it in again, with the same id."""
    how = "os.kill(os.getppid(), signal.SIGKILL)"
    (tmp_path / "dying.py").write_text(DIE_ONCE.format(when="task_prerun", how=how))
    program = "import celery_worker; print(celery_worker.ask(84, 2, 0.5))"
    with (
        worker(tmp_path, "dying") as killed,
        running("-c", program, cwd=tmp_path, DP_URL=url_of(tmp_path)) as asking,
    ):
        killed.wait()
        assert dp.Pending() == state(url_of(tmp_path), "divide-84-2")
        with worker(tmp_path):
            assert "42.0\n" == asking.communicate()[0]


def test_who_asks_later_shares_the_result(tmp_path: Path) -> None:
    """A killed asker, and one when there is no worker any more, get the same result."""
    with running(
        "-c",
        "import celery_worker; celery_worker.ask(84, 2)",
        cwd=tmp_path,
        DP_URL=url_of(tmp_path),
    ) as asking:
        until(lambda: any(map(is_whole, tmp_path.glob("queue/*"))))
        asking.kill()
    with worker(tmp_path):
        until(lambda: state(url_of(tmp_path), "divide-84-2") == dp.Resolved(42.0))

    assert (0, "42.0\n") == python(
        PROGRAM, 84, 2, cwd=tmp_path, DP_URL=url_of(tmp_path)
    )
    assert [] == [*tmp_path.glob("queue/*")]


def is_whole(message: Path) -> bool:
    """Return whether a file of the broker is written to its end."""
    try:
        return bool(json.loads(message.read_text()))
    except ValueError:
        return False
