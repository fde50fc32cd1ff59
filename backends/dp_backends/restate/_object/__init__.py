"""
The virtual object ``promises``: one promise for each key.

Restate runs one exclusive handler of a key at a time, and stores all that it
changed in the key's state, or nothing. That is the compare-and-set under which
`dp_core.transition` decides here.

=================== ============================================================
``_virtual_object`` the object, and the key of an invocation
``_stored``         the state of a key: its names and forms
``_settling``       settle, for every settler; resolve, reject, and dispose
``_creating``       create: terms, once
``_deadline``       deadlines, as delayed calls
``_telling``        peek and info
``_waiting``        waiters, added and removed
``_waking``         waiters, woken, however many
=================== ============================================================
"""

from dp_backends.restate._invocations import accept_empty_bodies
from dp_backends.restate._object import (  # noqa: F401 - each adds its handlers
    _creating,
    _deadline,
    _settling,
    _telling,
    _waiting,
    _waking,
)
from dp_backends.restate._object._virtual_object import promises

__all__ = ["promises"]

accept_empty_bodies(promises)
