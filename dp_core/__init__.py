"""
Durable promises: promises that outlive the process that made them.

.. code-block:: python

    import dp_core as dp

    async with dp.connect("file:./promises") as promises:
        promise = promises.promise("my-durable-promise-id")
        won = await promise.resolve("This promise will notify everyone")
        value = await promise.get()
"""

from importlib import import_module
from typing import TYPE_CHECKING

from dp_core._public import publish

if TYPE_CHECKING:
    from dp_core._api import *  # noqa: F403 - for type checkers: what is lazy
    from dp_core._api import __all__ as __all__
    from dp_core._api import __version__ as __version__
else:
    # The names are loaded with the first of them, and not before: the program ``dp``
    # has an exit code for whatever goes wrong while something is loaded, and its
    # door is in this package.

    def __getattr__(name: str) -> object:
        if name in ("backend", "hookspecs", "values"):
            return import_module(f"{__name__}.{name}")
        if name == "completion":
            import warnings  # noqa: PLC0415 - only old code needs it

            warnings.warn(
                "dp_core.completion is called dp_core.settle_command",
                DeprecationWarning,
                stacklevel=2,
            )
            name = "settle_command"
        if not name.startswith("_") or name in ("__all__", "__version__"):
            api = import_module("dp_core._api")
            names = {public: getattr(api, public) for public in api.__all__}
            globals().update(names, __all__=api.__all__)
            publish(__name__, names)
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
