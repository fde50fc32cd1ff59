"""
Durable promises on Restate, an engine with a replicated log.

Restate stores the promises and calls the handlers that decide about them: those of
the object in `_object`, and those of the service in `_service`, which clients call.
``dp restate serve`` hosts both (`_host`) and registers them with Restate
(`_admin`). From then on, Restate's ingress speaks the wire of durable promises, and
its URL ``http://…`` is a store URL like that of ``dp serve``. Any other ASGI server
that speaks HTTP/2 can host them too: ``restate.app(SERVICES)``.

Inside a handler of your own, `durable_promise` takes the handler's context:

.. code-block:: python

    from dp_backends.restate import durable_promise

    @qna.handler()
    async def ask(ctx: restate.Context, question: str) -> str:
        return await durable_promise(question, ctx, str)

Names, paths, bodies and stored state are those of Restate's example "durable
promises as a service", so that either service can replace the other.
"""

from dp_backends.restate._commands import commands
from dp_backends.restate._handler import HandlerPromise, durable_promise
from dp_backends.restate._host import serve
from dp_backends.restate._service import SERVICES
from dp_core import hookimpl
from dp_core.hookspecs import RegisterCommand

__all__ = ["SERVICES", "HandlerPromise", "durable_promise", "serve"]

# So that reprs and tracebacks name the module that users import it from.
HandlerPromise.__module__ = __name__


@hookimpl
def dp_register_commands(register: RegisterCommand) -> None:
    register(commands)
