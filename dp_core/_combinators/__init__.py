"""
Several promises at once.

=============== ============================================================
``_functions``  `gather`, `all_settled`, `race` and `as_settled`
``_as_settled`` their iterator: promises and outcomes, as they are settled
``_joint_watch`` promises of several stores that are watched together
``_time_limit`` the longest wait of one call
=============== ============================================================
"""

from dp_core._combinators._as_settled import AsSettled
from dp_core._combinators._functions import all_settled, as_settled, gather, race

__all__ = ["AsSettled", "all_settled", "as_settled", "gather", "race"]
