"""`examples`: the last part of a command's help, command lines to try."""

from __future__ import annotations

__all__ = ["examples"]


def examples(*lines: str) -> str:
    """
    Return the ``epilog=`` of a `click.Command` that shows how it is called.

    Args:
        lines: Lines for a shell, each a whole command, or a comment.
    """
    # The character keeps click from making one paragraph of them.
    return "\n".join(("Examples:", "", "\b", *(f"  {line}" for line in lines)))
