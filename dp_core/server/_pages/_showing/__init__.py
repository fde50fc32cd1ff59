"""
Parts of pages: templates, JSON, times in words, failures.

============== =======================================================
``_rendering`` templates, and what pages load
``_tree``      JSON as a tree, within bounds
``_moments``   times in words
``_messages``  failures as pages
============== =======================================================
"""

from dp_core.server._pages._showing._messages import failure_page
from dp_core.server._pages._showing._moments import moment_in_words, time_in_words
from dp_core.server._pages._showing._rendering import ASSETS, asset_response, rendered
from dp_core.server._pages._showing._tree import JsonTree, tree_of

__all__ = [
    "ASSETS",
    "JsonTree",
    "asset_response",
    "failure_page",
    "moment_in_words",
    "rendered",
    "time_in_words",
    "tree_of",
]
