"""`without_extra`: an error that names the extra that brings what is missing."""

from __future__ import annotations

__all__ = ["without_extra"]


def without_extra(
    error: ModuleNotFoundError, needs: str, extra: str
) -> ModuleNotFoundError:
    """
    Return the error of a package that is not installed, with what installs it.

    Args:
        error: Of the import.
        needs: Says who needs it, such as "notebooks need".
        extra: The extra of this library that brings it.
    """
    return ModuleNotFoundError(
        f"{error}; {needs}: pip install 'durable-promises[{extra}]'", name=error.name
    )
