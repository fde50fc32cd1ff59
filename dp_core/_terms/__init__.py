"""
Terms of promises, what a store knows of these, and questions for them.

================== ==========================================================
``_terms``         what a promise is created with, and the rule of deadlines
``_moments``       deadlines that the calendar and all stores have
``_tags``          tags, and other names; those that are the library's own
``_callbacks``     who is told once a promise is settled
``_callback_urls`` what their URLs may look like
``_infos``         all that a store knows about a promise
``_queries``       questions for promises, and pages of them
================== ==========================================================
"""

from dp_core._terms._callback_urls import MAX_URL_BYTES, CallbackUrl, parse_callback_url
from dp_core._terms._callbacks import (
    MAX_CALLBACKS,
    Callback,
    ask_callbacks,
    check_callbacks,
)
from dp_core._terms._infos import PromiseInfo, StateName, state_name
from dp_core._terms._moments import moment_after
from dp_core._terms._queries import Page, Query
from dp_core._terms._tags import (
    MAX_TAG_BYTES,
    MAX_TAGS,
    RESERVED,
    check_name,
    check_tags,
    is_reserved,
    is_text,
    refuse_reserved,
)
from dp_core._terms._terms import DEADLINE_PASSED, Terms, expiry

__all__ = [
    "DEADLINE_PASSED",
    "MAX_CALLBACKS",
    "MAX_TAGS",
    "MAX_TAG_BYTES",
    "MAX_URL_BYTES",
    "RESERVED",
    "Callback",
    "CallbackUrl",
    "Page",
    "PromiseInfo",
    "Query",
    "StateName",
    "Terms",
    "ask_callbacks",
    "check_callbacks",
    "check_name",
    "check_tags",
    "expiry",
    "is_reserved",
    "is_text",
    "moment_after",
    "parse_callback_url",
    "refuse_reserved",
    "state_name",
]
