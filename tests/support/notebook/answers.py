"""What the notebooks ask, and what is right: readers do not look here."""

from __future__ import annotations

from typing import Any, Final

import dp_core as dp

__all__ = ["EXERCISES", "HAPPENS"]

HAPPENS: Final[dict[str, dict[str, str]]] = {
    "00_start_here": {"twice": "first"},
    "01_what_is_a_durable_promise": {
        "future_dies": "error",
        "killed": "value",
        "too_late": "resolved",
        "null": "resolved",
    },
    "02_example1": {"peeking": "pending", "rejecting": "resolved"},
    "03_example2": {"waking": "nothing", "early": "value", "many": "one"},
    "04_example3": {
        "parallel": "one",
        "before": "pending",
        "during": "whole",
        "after": "value",
        "again": "value",
    },
    "05_same_code_any_backend": {"same": "same", "sharing": "two", "outage": "later"},
    "06_build_your_own": {
        "same_path": "same",
        "fsync": "lost",
        "rename": "race",
        "early": "lies",
    },
    "07_signals_between_systems": {
        "callback": "yes",
        "approval": "same",
        "barrier": "waits",
    },
    # Chance decides "order": whatever it is, one of its answers.
    "08_trio": {"scoped": "pending"},
    "in_practice/09_deadlines": {
        "late": "deadline",
        "anew": "first",
        "race": "one",
        "ahead": "expired",
        "back": "settled",
    },
    "in_practice/10_many_at_once": {
        "collected": "all",
        "fails": "raises",
        "loser": "pending",
        "one_dies": "waits",
        "price": "few",
    },
    "in_practice/11_a_thousand_settlers": {
        "winners": "one",
        "together": "few",
        "alike": "few",
    },
    "in_practice/12_catch_the_liar": {
        "tidy": "apart",
        "indexed": "kept",
        "swift": "woken",
        "fussy": "fresh",
        "strict": "whole",
    },
    "in_practice/13_a_link_and_a_callback": {
        "opened": "pending",
        "outage": "once",
    },
}
"""What each question's run gives."""

EXERCISES: Final[dict[str, list[tuple[list[Any], list[Any]]]]] = {
    "00_start_here": [
        (
            [{"resolved", "rejected"}, ["Rejected", "Resolved"], "resolved, rejected."],
            ["resolved", {"pending", "resolved"}, "settled"],
        ),
    ],
    "01_what_is_a_durable_promise": [
        ([{"Dispose"}, "dispose", ["Dispose."], dp.Dispose], [{"Reject"}, "Pending"]),
        ([["new", "done", "done"]], [["done", "done", "new"], ["new", "new", "done"]]),
        ([{"answer": 42}, {"answer": 42.0}], [{"answer": 41}, {"question": 42}, 42]),
    ],
    "02_example1": [
        ([[True, False, False]], [[True, True, False], [True, False, True]]),
        (["pending", "Pending()", dp.Pending, dp.Pending()], ["rejected", "disposed"]),
        ([1, "1", "1.", "Peeked value"], [2, 3, "4"]),
    ],
    "03_example2": [
        (["neither", "Neither."], ["pipe", "file with the value, written in place"]),
        ([4, "4", 4.0], [5, 1, "0"]),
        (["timeout"], [None.__class__, "value"]),
    ],
    "04_example3": [
        ([False, "False", "no"], [True, "yes"]),
        (["before", "Before"], ["during", "after", "awaiter"]),
        ([True, "true", "Yes!"], [False]),
    ],
    "05_same_code_any_backend": [
        (["http", "HTTP", "http:", "http://"], ["file", "memory"]),
        (["memory", "memory:"], ["file", "http"]),
        (
            [
                "UnknownBackendError",
                "dp_core.UnknownBackendError",
                dp.UnknownBackendError,
            ],
            ["NotSupportedError", dp.BackendError],
        ),
    ],
    "06_build_your_own": [
        (["the name", "name", "The name."], ["the bytes", "nothing"]),
        (
            ["fsync_names", "fsync_names()", "self.disk.fsync_names"],
            ["link", "os.link"],
        ),
    ],
    "07_signals_between_systems": [
        (["both: the outcome", "Both", "both, the outcome"], ["nobody", "a lock"]),
        ([True, "yes"], [False]),
        (["kept", "Kept."], ["lost", "refused"]),
    ],
    "08_trio": [
        (["cancelled", "canceled"], ["goes on", "gets the error"]),
        ([["default", "from a program"]], [["from a program", "default"]]),
        (["KeyboardInterrupt", KeyboardInterrupt], ["CancelledError"]),
    ],
    "in_practice/09_deadlines": [
        (["resolved", "Resolved"], ["pending", "rejected"]),
        ([["ann", False], ("ann", "no")], [["ann", True], [None, False], "ann"]),
    ],
    "in_practice/10_many_at_once": [
        ([["alpha", "beta"]], [["beta", "alpha"], "alpha"]),
        ([0, "0", 0.0], [1, 9]),
        (["good"], ["bad", "not here"]),
    ],
    "in_practice/11_a_thousand_settlers": [
        ([[4, 0.04], ("4", "0.04")], [[0.04, 4], [4, 4], 4]),
        ([0, "0"], [1, 4]),
        (["neither", "Neither."], ["what was acknowledged is there"]),
    ],
    "in_practice/12_catch_the_liar": [
        ([{"Swift", "Fussy"}, "fussy, swift"], [{"Swift"}, {"Swift", "Strict"}]),
        (["finally", "finally:"], ["try", "except"]),
    ],
    "in_practice/13_a_link_and_a_callback": [
        (
            ["forge callbacks", "Forge callbacks."],
            ["make links", "settle promises"],
        ),
        ([[2, 1], ("2", "1")], [[1, 1], [1, 2], [2, 2], 2]),
        ([[204, 401]], [[401, 401], [204, 204], [401, 204]]),
    ],
}
"""For each sealed answer, in the order of the page: what is right, and what is not."""
