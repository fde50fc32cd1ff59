"""
`PromiseMachine`: a hypothesis state machine that compares a backend with a model.

The machine makes the calls that users make, through two handles where they are
shared, and after every step each promise must be in the state that the model
gives it. Where the store keeps terms, it also creates promises, asks for all that is
known, and lists them; where deadlines are those of this process, it moves their clock.
A failure is shrunk to the fewest steps. The model is a few dicts; it shares nothing
with `dp_core.transition`.

.. code-block:: python

    class MyMachine(PromiseMachine):
        durable = shared = True

        def open_backend(self):
            return MyBackend(folder)


    TestMyMachine = MyMachine.TestCase

Hypothesis drives it from synchronous code, so each machine has an event loop
in a thread of its own.
"""

from dp_core._extras import without_extra
from dp_core._public import publish

try:
    from dp_core.testing.stateful._machine import PromiseMachine
    from dp_core.testing.stateful._values import json_values, messages, outcomes
except ModuleNotFoundError as error:
    raise without_extra(error, "suites of the kit need", "testing") from None

__all__ = ["PromiseMachine", "json_values", "messages", "outcomes"]

publish(__name__, __all__)
