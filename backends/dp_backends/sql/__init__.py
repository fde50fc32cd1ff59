"""
Stores in SQL databases: ``sqlite:`` and ``postgresql:``.

One schema, one set of statements, one batching writer and one way to wait for all of
them; a driver each.

================ ==============================================================
``_schema``      the tables, for each dialect of SQL
``_rows``        one promise in a database, and how it may change
``_sessions``    connections, and their statements
``_working``     calls that come together, and the thread that works on them
``_listing``     what a store holds, page by page
``_waits``       waits: one waiter of an event loop asks for all
``_store``       what a driver brings; ``_backend`` makes a `Backend` of it
``sqlite``       SQLite, by apsw
``postgresql``   PostgreSQL, by psycopg
================ ==============================================================
"""
