"""
`COMMANDS`: the commands of ``dp``, but for *doctor* and those of other packages.

================ ===============================================================
``_promises``    *peek*, *get*, *resolve*, *reject*, *dispose*: on one promise
``_terms``       *create*, *info*
``_list``        *list*: a table for people, lines of JSON for programs
``_prune``       *prune*
``_watch``       *watch*
``_serving``     *serve*, *token*, *link*, *mcp*: for others
``_copy``        *copy*
``_conformance`` *conformance*
``_tools``       *backends*, *completion*: on the installation
``_asking``      how they ask a store, and check what it says
================ ===============================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from dp_core.cli._commands._asking import checked_info
from dp_core.cli._commands._conformance import conformance
from dp_core.cli._commands._copy import copy
from dp_core.cli._commands._list import list_promises
from dp_core.cli._commands._promises import dispose, get, peek, reject, resolve
from dp_core.cli._commands._prune import prune
from dp_core.cli._commands._serving import link, mcp, serve, token
from dp_core.cli._commands._terms import create, info
from dp_core.cli._commands._tools import backends, completion
from dp_core.cli._commands._watch import watch

__all__ = ["COMMANDS", "checked_info"]

COMMANDS: Final[Mapping[str, click.Command]] = {
    "peek": peek,
    "get": get,
    "resolve": resolve,
    "reject": reject,
    "dispose": dispose,
    "create": create,
    "info": info,
    "list": list_promises,
    "watch": watch,
    "prune": prune,
    "serve": serve,
    "token": token,
    "link": link,
    "mcp": mcp,
    "copy": copy,
    "conformance": conformance,
    "backends": backends,
    "completion": completion,
}
"""``{name: command}``, in the order in which a newcomer meets them."""
