"""`promises`, the virtual object that the handlers make; `checked`, their keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from restate import ObjectContext, ObjectSharedContext, VirtualObject

from dp_backends.restate._invocations import SETTINGS, terminal_errors
from dp_backends.restate._names import OBJECT
from dp_core.backend import check_id

__all__ = ["checked", "promises"]

promises: Final = VirtualObject(
    OBJECT, description="Durable promises; a key is the id of one.", **SETTINGS
)


@contextmanager
def checked(ctx: ObjectContext | ObjectSharedContext) -> Iterator[str]:
    """Give the id that the key is; our errors, of the id too, are terminal."""
    with terminal_errors():
        check_id(ctx.key())
        yield ctx.key()
