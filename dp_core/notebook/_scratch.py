"""
`scratch`: a temporary directory to work in, which goes when its process goes.

Whoever dies cannot clean up. So another small program holds the end of a pipe to which
only this process could write, reads its end of file however this process went, and
removes the directory. It has a session of its own, because Jupyter signals the whole
group of a kernel.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

from dp_core.notebook.pictures import bundle, show
from dp_core.notebook.processes import FleetError, removal

__all__ = ["scratch"]

_MADE: Final[dict[int, tuple[str, Popen[bytes]]]] = {}
"""The directory of this process, by its number: a fork is another one."""


def scratch() -> None:
    """
    Go on in a temporary directory, which is removed when this process is gone.

    Called again, it goes back to the same directory.

    Raises:
        FleetError: There is no place for it.
    """
    if os.getpid() not in _MADE:
        try:
            _MADE[os.getpid()] = _make()
        except OSError as error:
            raise FleetError(f"there is no temporary directory: {error}") from None
    place, _ = _MADE[os.getpid()]
    try:
        os.chdir(place)
    except OSError:
        # Somebody has removed it; the one who would is of no use any more.
        del _MADE[os.getpid()]
        raise FleetError("the temporary directory is gone; run this again") from None
    show(
        bundle(
            "Files of this notebook are in a temporary directory, "
            "which is removed when its kernel ends."
        )
    )


def _make() -> tuple[str, Popen[bytes]]:
    place = tempfile.mkdtemp(prefix="dp-notebook-")
    try:
        remover = Popen(  # noqa: S603 - this interpreter, our own program
            removal(place),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place, remover
