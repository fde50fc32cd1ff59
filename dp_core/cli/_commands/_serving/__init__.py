"""
Commands that serve: *serve*, *token*, *link*, *mcp*.

============ ==============================================
``_serve``   *serve*: a store, over HTTP
``_token``   *token*: what others may do there
``_link``    *link*: a page for a person there
``_agents``  *mcp*: a store as tools for an agent, on stdin
``_spans``   spans of *serve*
``_options`` options, and extras, of several of them
============ ==============================================
"""

from dp_core.cli._commands._serving._agents import mcp
from dp_core.cli._commands._serving._link import link
from dp_core.cli._commands._serving._serve import serve
from dp_core.cli._commands._serving._token import token

__all__ = ["link", "mcp", "serve", "token"]
