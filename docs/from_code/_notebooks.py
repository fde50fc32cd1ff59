"""The notebooks as pages: copied with their stored outputs, in teaching order."""

from __future__ import annotations

import json
from pathlib import Path

from from_code._diagram import diagram
from from_code._files import replace

__all__ = ["write_notebooks"]


def write_notebooks(folder: Path, notebooks: Path) -> None:
    """
    Copy all notebooks to *folder*.

    A symbolic link would do, if links between the notebooks were not resolved
    to where they really are. Cells are highlighted as IPython's, which have
    magics; a notebook that was stored by a program does not say so.
    """
    pages = (*notebooks.glob("*.ipynb"), *notebooks.glob("*/*.ipynb"))
    replace(
        folder, {path.relative_to(notebooks).as_posix(): _page(path) for path in pages}
    )


def _page(path: Path) -> str:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["language_info"] = {
        "name": "python",
        "pygments_lexer": "ipython3",
    }
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            # JupyterLab draws Mermaid text. A page has no program that does, so it
            # gets the drawing of the same table.
            if output.get("data", {}).pop("text/vnd.mermaid", None):
                output["data"]["text/html"] = diagram()
    return json.dumps(notebook, ensure_ascii=False)
