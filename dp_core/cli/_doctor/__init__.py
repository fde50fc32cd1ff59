"""
Looks at a store, and at what is around it: ``dp doctor``, and ``dp`` alone.

================= ============================================================
``_named_store``  the store, and who named it
``_bounded``      how long a look takes at most
``_overview``     the newest promises in it, or how to begin
``_installation`` checks of the interpreter, the library, and plugins
``_store_checks`` checks of the store, which its backend brings
``_diagnosis``    all checks, as they are shown
``_doctor``       the command
================= ============================================================
"""

from dp_core.cli._doctor._doctor import doctor
from dp_core.cli._doctor._overview import show_overview

__all__ = ["doctor", "show_overview"]
