"""
Parts of store URLs that several backends read.

================= ===============================================
``_paths``        the path that a URL names
``_retry_option`` how long to try again while a server is away
================= ===============================================
"""

from dp_backends._urls._paths import path_of
from dp_backends._urls._retry_option import RETRY_SECONDS, retry_of

__all__ = ["RETRY_SECONDS", "path_of", "retry_of"]
