"""
Commands about a server: *serve*, *token*, *link*.

========== =================================
``_serve`` *serve*: a store, over HTTP
``_token`` *token*: what others may do there
``_link``  *link*: a page for a person there
========== =================================
"""

from dp_core.cli._commands._serving._link import link
from dp_core.cli._commands._serving._serve import serve
from dp_core.cli._commands._serving._token import token

__all__ = ["link", "serve", "token"]
