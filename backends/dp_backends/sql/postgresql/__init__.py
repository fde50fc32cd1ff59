"""
`dp_register_backends` for ``postgresql://user@host/db``: promises in a schema.

=============== ================================================================
``_store``      the store, and what has changed in it
``_url``        its URL
``_connecting`` how to connect, and what the server must be like
``_session``    a connection; ``_queries`` its statements and their values,
                ``_prepared`` how they are run
``_schema``     the schema: found, checked, made, brought up to date
``_ear``        how those who wait hear of a commit
``_clock``      the time of the server
``_failures``   what PostgreSQL's errors mean
``_checks``     how it is with the server and the schema, for `dp doctor`
=============== ================================================================
"""

from dp_backends.sql.postgresql._store import dp_register_backends

__all__ = ["dp_register_backends"]
