"""`variable`: an environment variable of ours, which has a value or is not set."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["variable"]


def variable(name: str, refuse: Callable[[str], Exception]) -> str | None:
    """
    Return the value of an environment variable; None where it is not set.

    One that is empty was to have a value, as in ``DP_URL=$URL`` without ``URL``: its
    program would go on with another store, or without a token.

    Args:
        name: The variable.
        refuse: Makes the error, from what is wrong and what to do about it.

    Raises:
        Exception: It is set, and empty: what *refuse* makes.
    """
    value = os.environ.get(name)
    if value == "":
        raise refuse(f"{name} is set, but empty; give it its value, or unset it")
    return value
