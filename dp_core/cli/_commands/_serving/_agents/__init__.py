"""
Command *mcp*: promises as tools of the Model Context Protocol, for agents.

========== =================================================================
``_mcp``   the command *mcp*, which runs the server on stdin and stdout
``_tools`` the tools: create, peek, wait, resolve, reject, list
``_tasks`` the tasks of the protocol: a wait whose result is asked for later
========== =================================================================
"""

from dp_core.cli._commands._serving._agents._mcp import mcp

__all__ = ["mcp"]
