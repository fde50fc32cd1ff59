"""
The contract between the library and the places where promises live.

Write a subclass of `Backend`, register it through
`dp_core.hookspecs.dp_register_backends`, and prove it with
`dp_core.testing`. The library's own backends come in by the same door.

`LeaderFollowers` and `LoopLocal` are for inside a backend: by them, calls that
come together share one look, one question, or one commit.
"""

from dp_core._public import publish
from dp_core.backend._contract import Backend, Listable
from dp_core.backend._leader import Follower, LeaderFollowers
from dp_core.backend._loop_local import LoopLocal

__all__ = ["Backend", "Follower", "LeaderFollowers", "Listable", "LoopLocal"]

publish(__name__, __all__)
