"""
The statements of a store in PostgreSQL, and their values.

============ ==================================================
``_arrays``  columns of rows, packed
``_dialect`` the statements
============ ==================================================
"""

from dp_backends.sql.postgresql._queries._arrays import (
    Big,
    Bytes,
    Column,
    Small,
    register_arrays,
)
from dp_backends.sql.postgresql._queries._dialect import CHANGED, MARK, Queries

__all__ = [
    "CHANGED",
    "MARK",
    "Big",
    "Bytes",
    "Column",
    "Queries",
    "Small",
    "register_arrays",
]
