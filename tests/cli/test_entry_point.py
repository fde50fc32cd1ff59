"""The one way out of ``dp``: an exit code that means something is no accident."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from dp_core import connect
from dp_core.cli import main
from support.core.program import UNMEASURED

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

PROGRAMS = {
    "script": (str(Path(sys.executable).parent / "dp"),),
    "module": (sys.executable, "-m", "dp_core"),
}


@pytest.fixture
def dp(tmp_path: Path) -> Run:
    """Run the program from a shell's command line."""

    def run(line: str, before: str = "", way: str = "module", **env: str) -> Done:
        program = " ".join(PROGRAMS[way])
        return subprocess.run(
            ["bash", "-c", f"{before}\n{program} {line}"],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "DP_URL": f"file:{tmp_path}/promises", **env},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
        )

    return run


def module(tmp_path: Path, name: str, source: str) -> dict[str, str]:
    """Put a module before all others; return the environment that finds it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / f"{name}.py").write_text(source)
    return {"PYTHONPATH": str(site)}


def refused(done: Done, word: str) -> bool:
    """Tell whether the program ended with 2 and one line that has *word* in it."""
    line = done.stderr
    ours = line.startswith("dp: ") and line.count("\n") == 1 and word in line
    return (done.returncode, done.stdout, ours) == (2, "", True)


# Streams --------------------------------------------------------------------


@pytest.fixture
def resolved(tmp_path: Path) -> None:
    """Resolve the promise "id" with "x"."""

    async def resolve() -> None:
        async with connect(f"file:{tmp_path}/promises") as promises:
            await promises.promise("id").resolve("x")

    asyncio.run(resolve())


@pytest.mark.parametrize("nowhere", [">/dev/full", ">&-"])
@pytest.mark.parametrize("line", ["peek id", "resolve id x", "backends", "get --help"])
def test_a_result_that_cannot_be_said_is_not_known(
    dp: Run, resolved: None, line: str, nowhere: str
) -> None:
    """With stdout full or closed, the exit code is 2, whatever the promise is."""
    done = dp(f"{line} {nowhere}")

    assert refused(done, "" if "--help" in line else "cannot be written"), done


@pytest.mark.parametrize("nowhere", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    "line",
    ["peek new", "reject no no", "resolve id other", "peek", "--no"],
)
def test_a_word_that_cannot_be_said_is_not_known(
    dp: Run, resolved: None, line: str, nowhere: str
) -> None:
    """With stderr full or closed, nothing is claimed that was to be said there."""
    assert 2 == dp(f"{line} {nowhere}").returncode


@pytest.mark.parametrize("nowhere", ["2>/dev/full", "2>&-", "<&-"])
def test_a_stream_that_is_not_needed_may_be_closed(dp: Run, nowhere: str) -> None:
    """A value goes to stdout alone: what is wrong with the others is no failure."""
    assert (0, "x\n") == said(dp(f"resolve id x {nowhere}"))
    assert (0, "x\n") == said(dp(f"peek id {nowhere}"))


def said(done: Done) -> tuple[int, str]:
    """Return the exit code, and what is on stdout."""
    return done.returncode, done.stdout


@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-", ">&- 2>&-", "<&- 2>&-"])
def test_what_is_printed_never_gets_into_the_store(
    dp: Run, closed: str, tmp_path: Path
) -> None:
    """Files of the store do not get the descriptors of streams that are closed."""
    for command in ("resolve id x", "reject other y", "resolve id z"):
        dp(f"{command} {closed}")

    assert (0, "x\n") == said(dp("peek id"))
    assert (1, "") == said(dp("peek other"))
    records = [path.read_text() for path in (tmp_path / "promises").rglob("*.json")]
    assert 2 == len(records)
    assert not any("dp:" in record for record in records)


def test_help_that_nobody_reads_is_not_a_rejection(dp: Run) -> None:
    """A pipe whose reader has gone is said, with 2; click alone would exit with 1."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAMS["module"], "--help"], stdout=write, stderr=-1, check=False
    )
    os.close(write)

    assert (2, b"dp: the output cannot be written: Broken pipe\n") == (
        done.returncode,
        done.stderr,
    )


# What is around it ----------------------------------------------------------


def test_a_directory_that_is_gone_is_an_error_of_ours(dp: Run) -> None:
    """A relative store in a working directory that was removed has no place."""
    gone = "mkdir gone; cd gone; rmdir ../gone"
    for url in ("file:./promises", "file:promises", ""):
        done = dp("peek id", before=gone, DP_URL=url)
        assert refused(done, "working directory"), done
    assert 0 == dp("resolve id x", before=gone).returncode


NO_THREAD = """
import _thread

def start_new_thread(*arguments, **options):
    raise RuntimeError("can't start new thread")

_thread.start_new_thread = _thread.start_joinable_thread = start_new_thread
"""


def test_without_threads_it_works(dp: Run, tmp_path: Path) -> None:
    """Where the limit of processes is reached, the file store goes on without them."""
    env = module(tmp_path, "sitecustomize", NO_THREAD)

    assert (0, "x\n") == said(dp("resolve id x", **env))
    assert (0, "x\n") == said(dp("peek id", **env))
    assert (0, "x\n") == said(dp("get id", **env))
    assert (0, "") == said(dp("dispose id", **env))
    assert (3, "") == said(dp("get id --timeout 0.1", **env))


def test_a_limit_of_processes_is_one_of_these_cases(tmp_path: Path) -> None:
    """The kernel's own refusal is the one that the test above makes."""
    script = (
        "import _thread, resource, os\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: _thread.start_new_thread(print, ())\n"
        "except RuntimeError as error: print(error)\n"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert "can't start new thread\n" == output


# What is raised -------------------------------------------------------------

RAISED = {
    "an error": ("raise ValueError('a\\nb')", "ValueError"),
    "memory": ("raise MemoryError", "out of memory"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "exit": ("import sys; sys.exit(1)", "exit(1)"),
    "exit with nothing": ("raise SystemExit", "exit(None)"),
    "exit with words": ("raise SystemExit('bye')", "exit(bye)"),
    "import": ("import no_such_module", "no_such_module"),
    "disk": ("raise OSError(28, 'No space left on device', 'x')", "No space left"),
    "a group": ("raise ExceptionGroup('g', [KeyError('k')])", "KeyError"),
    "base": ("class E(BaseException): pass\nraise E", "unexpected E"),
    "no text": (
        "class E(Exception):\n    def __str__(self): raise self\nraise E",
        "an object of type E",
    ),
}


@pytest.mark.parametrize("case", RAISED)
def test_a_broken_package_beside_ours_is_said(
    dp: Run, tmp_path: Path, case: str
) -> None:
    """Whatever is raised while the program is loaded is one line, and 2."""
    source, word = RAISED[case]
    done = dp("peek id", **module(tmp_path, "click", source))

    assert refused(done, word), done


@pytest.mark.parametrize("way", PROGRAMS)
@pytest.mark.parametrize("name", ["click", "anyio", "pluggy"])
def test_both_ways_to_start_it_have_one_door(
    dp: Run, tmp_path: Path, name: str, way: str
) -> None:
    """The script and the module are loaded behind the same door."""
    env = module(tmp_path, name, "def")

    assert refused(dp("peek id", way=way, **env), "SyntaxError")


def test_an_interrupt_while_loading_is_an_interrupt(dp: Run, tmp_path: Path) -> None:
    """Ctrl-C during imports exits with 130, without a traceback."""
    source = "import signal; signal.raise_signal(signal.SIGINT)"
    done = dp("peek id", **module(tmp_path, "click", source))

    assert (130, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("case", RAISED)
def test_an_error_nobody_foresaw_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """Whatever is raised while a command runs is one line, and 2."""
    source, word = RAISED[case]
    ran = []

    def run(*_: object, **__: object) -> None:
        ran.append(case)
        exec(source, {})  # noqa: S102 - our own test data

    monkeypatch.setattr(anyio, "run", run)
    monkeypatch.setattr(sys, "argv", ["dp", "peek", "id"])
    with pytest.raises(SystemExit) as ended:
        main()

    code = ended.value.code
    assert [case] == ran
    assert isinstance(code, int)
    assert refused(Done("dp peek id", code, *capsys.readouterr()), word)


def test_little_memory_is_not_a_rejection(tmp_path: Path) -> None:
    """Under any limit of memory that lets the door be loaded, nothing exits with 1."""
    env = {**os.environ, **UNMEASURED, "DP_URL": f"file:{tmp_path}/promises"}
    subprocess.run([*PROGRAMS["module"], "resolve", "id", "x"], env=env, check=True)
    script = (
        "import resource, sys\n"
        "import dp_core.cli\n"
        "sys.argv[1:] = ['peek', 'id']\n"
        "with open('/proc/self/statm') as file: now = int(file.read().split()[0])\n"
        "more = now * resource.getpagesize() + {extra} * 1024\n"
        "resource.setrlimit(resource.RLIMIT_AS, (more, more))\n"
        "dp_core.cli.main()\n"
    )
    for extra in (0, 100, 1000, 5000, 8000, 12000, 20000):
        done = subprocess.run(
            [sys.executable, "-c", script.format(extra=extra)],
            capture_output=True,
            check=False,
            env=env,
        )
        assert done.returncode in {0, 2}, done
        assert b"Traceback" not in done.stderr


def test_development_mode_shows_the_traceback(tmp_path: Path) -> None:
    """``python -X dev`` is for those who look for the fault; the code is the same."""
    env = module(tmp_path, "click", "raise ValueError('a')")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "dp_core", "peek", "id"],
        capture_output=True,
        check=False,
        env={**os.environ, **env},
        text=True,
    )

    assert 2 == done.returncode
    assert "Traceback" in done.stderr


def test_no_memory_to_end_with_is_not_a_rejection(tmp_path: Path) -> None:
    """Where even flushing the output finds no memory, the exit code is 2."""
    script = (
        "import sys, dp_core.cli._entry_point as door\n"
        "def flushed(stream): raise MemoryError\n"
        "door._flushed = flushed\n"
        "sys.argv[1:] = ['peek', 'id']\n"
        "door.main()\n"
    )
    env = {**os.environ, "DP_URL": f"file:{tmp_path}/promises"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, env=env
    )

    assert 2 == done.returncode
    assert b"Traceback" not in done.stderr
