"""
The promises in a directory: all of them, and those whose deadlines are over.

============== ===============================================================
``_catalog``   all promises, by the time at which they were first heard of
``_listing``   pages of them
``_sweeping``  those whose deadlines are over, by their markers
============== ===============================================================
"""

from dp_backends.file._registry._listing import Listing, info_of
from dp_backends.file._registry._sweeping import Sweeper

__all__ = ["Listing", "Sweeper", "info_of"]
