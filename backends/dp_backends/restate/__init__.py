"""
Promises on Restate: the same promises on a replicated log.

Restate keeps the promises and drives the handlers; what they decide is here,
in `_object` and, for those who ask from outside, `_service`. ``dp restate
serve`` hosts both (`_serve`) and makes them known to Restate (`_admin`). From
then on, Restate's ingress speaks the wire of durable promises, and
``http://…`` names a store there as anywhere. Any other ASGI server that speaks
HTTP/2 can host them too: ``restate.app(SERVICES)``.

Inside a handler of your own, `durable_promise` takes its context:

.. code-block:: python

    from dp_backends.restate import durable_promise

    @qna.handler()
    async def ask(ctx: restate.Context, question: str) -> str:
        return await durable_promise(question, ctx, str)

Names, paths, bodies and stored state are those of Restate's own example
"durable promises as a service", so that either can stand in for the other.
"""

from dp_backends.restate._commands import SERVICES, commands
from dp_backends.restate._handler import HandlerPromise, durable_promise
from dp_backends.restate._serve import serve
from dp_core import hookimpl
from dp_core.hookspecs import RegisterCommand

__all__ = ["SERVICES", "HandlerPromise", "durable_promise", "serve"]

# For reprs and tracebacks: as users import it.
HandlerPromise.__module__ = __name__


@hookimpl
def dp_register_commands(register: RegisterCommand) -> None:
    register(commands)
