"""
Sessions: connections with a database, as the work on a store needs them.

================ ===========================================================
``_session``     the operations of a session, and how they fail
``_sql_session`` these operations, by statements
``_statements``  the statements, for each dialect of SQL
================ ===========================================================
"""

from dp_backends.sql._sessions._session import Failure, Session
from dp_backends.sql._sessions._sql_session import SqlSession, Values
from dp_backends.sql._sessions._statements import Statements, in_state

__all__ = [
    "Failure",
    "Session",
    "SqlSession",
    "Statements",
    "Values",
    "in_state",
]
