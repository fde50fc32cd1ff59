"""
Access: what whoever asks a server may do, and tokens that say so.

============ =================================================================
``_rights``  `Access`: rights, for some ids, of somebody
``_secrets`` the secrets that sign tokens, and the file that holds them
``_signed``  access as a signed token (JWT, RFC 7519), and back
============ =================================================================
"""

from dp_core._access._rights import EVERYTHING, RIGHTS, Access
from dp_core._access._secrets import (
    check_signing_secrets,
    read_secrets_file,
    secrets_file_from_environment,
)
from dp_core._access._signed import SignedAccess, read_access, write_access

__all__ = [
    "EVERYTHING",
    "RIGHTS",
    "Access",
    "SignedAccess",
    "check_signing_secrets",
    "read_access",
    "read_secrets_file",
    "secrets_file_from_environment",
    "write_access",
]
