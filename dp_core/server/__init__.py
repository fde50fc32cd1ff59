"""
Promises over HTTP: `app` is an ASGI app over any backend, `serve` runs it.

The form of requests and answers is in `dp_core.wire`. Here is the rest: `_endpoints`
is the table of all that is answered, by which `_routing` finds the row of a request;
`_guarding` refuses requests, `_answering` does what they ask for, `_waiting` holds
those that wait, `_callbacks` tells other systems, `_observing` tells what happens,
`_listening` makes a process of it.

.. code-block:: python

    anyio.run(dp_core.server.serve, "file:./promises")

    app = dp_core.server.app(dp_core.connect("memory:").backend)  # any ASGI server
"""

from dp_core._public import publish
from dp_core._tokens import read_token_file

try:
    from dp_core.server._app import App, app
    from dp_core.server._listening import serve
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in {
        "granian",
        "httpcore2",
        "jinja2",
        "jwt",
        "prometheus_client",
        "starlette",
    }:
        raise
    raise ImportError(
        f"the server needs {missing}: pip install 'durable-promises[server]'",
        name=missing,
    ) from None
from dp_core.server._settings import Settings

__all__ = ["App", "Settings", "app", "read_token_file", "serve"]

publish(__name__, __all__)
