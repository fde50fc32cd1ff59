"""
Commands about a server: *serve*, *token*.

========== =================================
``_serve`` *serve*: a store, over HTTP
``_token`` *token*: what others may do there
========== =================================
"""

from dp_core.cli._commands._serving._serve import serve
from dp_core.cli._commands._serving._token import token

__all__ = ["serve", "token"]
