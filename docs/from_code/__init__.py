"""
Pages and tables of the site that are made from the code they describe.

`substitutions` returns what pages quote as ``{{ name }}``, and `connect` has
whole pages written before Sphinx looks for pages: the API, one page a module;
the notebooks; and the museum.
"""

from pathlib import Path

from sphinx.application import Sphinx

from dp_core.testing import LAWS
from from_code._api import skips, write_api
from from_code._commands import as_code, escape
from from_code._diagram import diagram
from from_code._interface import interface
from from_code._links import link_pages
from from_code._museum import museum_pages, write_museum
from from_code._names import public_modules, public_names
from from_code._notebooks import write_notebooks
from from_code._references import resolves
from from_code._tables import error_tree, laws, transitions

__all__ = ["connect", "museum_pages", "public_modules", "public_names", "substitutions"]


def substitutions() -> dict[str, str]:
    """Return what stands for ``{{ name }}`` in the pages."""
    return {
        "error_tree": error_tree(),
        "interface": interface(),
        "laws": laws(),
        "number_of_laws": str(len(LAWS)),
        "state_diagram": diagram(),
        "transitions": transitions(),
    }


def connect(app: Sphinx) -> None:
    """Have the pages made, and their names and links found."""
    app.connect("builder-inited", _write)
    app.connect("source-read", link_pages)
    app.connect("autodoc-skip-member", skips)
    app.connect("missing-reference", resolves)
    app.connect("sphinx-click-process-description", escape)
    app.connect("sphinx-click-process-options", escape)
    app.connect("sphinx-click-process-epilog", as_code)


def _write(app: Sphinx) -> None:
    source = Path(app.srcdir)
    write_api(source / "reference" / "api")
    write_notebooks(source / "tutorial" / "notebooks", source.parent / "notebooks")
    write_museum(source / "museum")
