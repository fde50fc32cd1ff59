"""
Promises over HTTP: an ASGI app over any backend, and a server that runs it.

What is said on the wire is in `dp_core.wire`; here is who may ask (`_guard`),
what is done (`_app`), who waits (`_waits`) and how it runs (`_run`).

.. code-block:: python

    anyio.run(dp_core.server.serve, "file:./promises")

    app = dp_core.server.app(dp_core.connect("memory:").backend)  # any ASGI server
"""

from dp_core._errors import BackendUnavailableError
from dp_core._public import publish
from dp_core._tokens import read_token_file

try:
    from dp_core.server._app import App, app
    from dp_core.server._run import serve
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in {"httptools", "starlette", "uvicorn"}:
        raise
    raise BackendUnavailableError(
        f"the server needs {missing}: pip install 'durable-promises[server]'"
    ) from None
from dp_core.server._settings import Settings

__all__ = ["App", "Settings", "app", "read_token_file", "serve"]

publish(__name__, __all__)
