"""Predictions, and exercises whose answers are not on the page."""

from dp_core._public import publish
from dp_core.notebook.lessons._exercise import check
from dp_core.notebook.lessons._question import Question
from dp_core.notebook.lessons._sealed import Sealed, seal

__all__ = ["Question", "Sealed", "check", "seal"]

publish(__name__, __all__)
