"""
Answers to calls, as a backend gives them.

=============== ============================================================
``_operations`` one call: done, or failed as a client may see it
``_batch``      the calls of one request, together
``_registry``   terms and lists; deadlines nobody asks for
=============== ============================================================
"""

from dp_core.server._answering._batch import BatchAnswers
from dp_core.server._answering._operations import Operations
from dp_core.server._answering._registry import RegistryAnswers, Sweeping

__all__ = ["BatchAnswers", "Operations", "RegistryAnswers", "Sweeping"]
