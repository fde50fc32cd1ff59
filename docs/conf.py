"""
Settings of the documentation site; `make docs` builds it.

Nothing is fetched while it is built or read: the fonts are those of the
system, there are no inventories of other projects, and the pictures are drawn
here. The notebooks are pages with the outputs that `make notebooks` stored.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from sphinx.application import Sphinx

HERE: Final = Path(__file__).parent
# The pages of the museum are made from the mutants in the tests.
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from dp_core import __version__  # noqa: E402 - after the path is set
from from_code import connect, substitutions  # noqa: E402 - after the path is set

project: Final = "durable promises"
author: Final = "the authors of durable promises"
project_copyright: Final = "the authors of durable promises, MIT license"
release: Final = __version__

extensions: Final = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
exclude_patterns: Final = ["_build", "**/.ipynb_checkpoints", "**/promises"]

# Quotation marks are as they are written; only " -- " becomes a dash.
smartquotes_action: Final = "D"

# Prose ----------------------------------------------------------------------

myst_enable_extensions: Final = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors: Final = 3
myst_substitutions: Final = substitutions()

# The notebooks are run by `make notebooks`, and tests compare them with their
# sources; here they are only shown.
nb_execution_mode: Final = "off"
nb_merge_streams: Final = True

# Reference ------------------------------------------------------------------

default_role: Final = "py:obj"
autodoc_default_options: Final = {
    "members": True,
    "undoc-members": True,
}
add_module_names: Final = False
# Methods, too, would be in the navigation, which is made anew for every page.
toc_object_entries: Final = False
autodoc_member_order: Final = "bysource"
autodoc_preserve_defaults: Final = True
autodoc_typehints_format: Final = "short"
napoleon_numpy_docstring: Final = False
napoleon_use_ivar: Final = False
python_use_unqualified_type_names: Final = True

# Every reference to a public name of ours must lead somewhere. Names of other
# projects, and private ones in signatures, are shown without a link.
nitpicky: Final = True
nitpick_ignore_regex: Final = [(r"py:.*", r"(?!dp_).*|.*\._.*")]

# Looks ----------------------------------------------------------------------

html_theme: Final = "furo"
html_title: Final = "durable promises"
html_static_path: Final = ["static"]
html_css_files: Final = ["site.css"]
html_copy_source: Final = False
html_show_sphinx: Final = False


def setup(app: Sphinx) -> None:
    """Make the pages that come from the code."""
    connect(app)
