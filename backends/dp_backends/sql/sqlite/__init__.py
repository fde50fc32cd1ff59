"""
`dp_register_backends` for ``sqlite:./promises.db``: promises in one SQLite database.

=============== ================================================================
``_store``      the store, and its URL
``_session``    a connection; ``_dialect`` its statements
``_database``   the file: found, checked, made, brought up to date
``_log``        how much of the write-ahead log is known to be durable
``_bell``       how those who wait hear of a commit
``_failures``   what SQLite's errors mean
``_checks``     how it is with the file, for `dp doctor`
=============== ================================================================
"""

from dp_backends.sql.sqlite._store import dp_register_backends

__all__ = ["dp_register_backends"]
