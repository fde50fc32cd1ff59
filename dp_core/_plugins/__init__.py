"""
Plugins: what is installed, and a backend for a store URL.

============== ============================================================
``_installed`` the modules that implement our hooks, by their metadata
``_opening``   from a store URL to a backend, by the plugin of its scheme
``_probe``     whether a plugin loads, tried in a process of its own
============== ============================================================
"""

from dp_core._plugins._installed import (
    Plugin,
    PluginFailure,
    built_in,
    installed_plugins,
)
from dp_core._plugins._opening import (
    find_factory,
    installed_schemes,
    open_backend,
    plugin_manager,
)
from dp_core._plugins._probe import probe, probe_command, probe_here

__all__ = [
    "Plugin",
    "PluginFailure",
    "built_in",
    "find_factory",
    "installed_plugins",
    "installed_schemes",
    "open_backend",
    "plugin_manager",
    "probe",
    "probe_command",
    "probe_here",
]
