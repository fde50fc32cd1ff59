"""
Answers to requests and their calls, as a backend gives them.

=============== ============================================================
``_requests``   requests in the wire's form, answered
``_serving``    what the answers of one app share
``_shared``     answers that are made once for many
``_operations`` one call: done, or failed as a client may see it
``_batch``      the calls of one request, together
``_cancelling`` cancellations, told from what a backend raises
``_health``     whether the store answers
``_registry``   terms and lists; deadlines nobody asks for
=============== ============================================================
"""

from dp_core.server._answering._batch import BatchAnswers
from dp_core.server._answering._health import Health
from dp_core.server._answering._operations import Operations
from dp_core.server._answering._registry import RegistryAnswers, Sweeping, full_page
from dp_core.server._answering._requests import (
    answer_batch,
    answer_call,
    answer_get,
    answer_health,
    answer_metrics,
    answer_openapi,
    answer_unknown,
    answer_watch,
    answer_watch_query,
)
from dp_core.server._answering._serving import Serving

__all__ = [
    "BatchAnswers",
    "Health",
    "Operations",
    "RegistryAnswers",
    "Serving",
    "Sweeping",
    "answer_batch",
    "answer_call",
    "answer_get",
    "answer_health",
    "answer_metrics",
    "answer_openapi",
    "answer_unknown",
    "answer_watch",
    "answer_watch_query",
    "full_page",
]
