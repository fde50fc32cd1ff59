"""
Access: what whoever asks a server may do, and tokens that say so.

=============== ==============================================================
``_rights``     `Access`: rights, for some ids, of somebody
``_secrets``    the secrets that sign tokens, and the file that holds them
``_signed``     access as a signed token (JWT, RFC 7519), and back
``_links``      links for people: the page of a promise, and a token for it
``_public_url`` where people see a server that is behind a proxy
=============== ==============================================================
"""

from dp_core._access._links import PAGES_PATH, link_base, page_of, write_link
from dp_core._access._public_url import PublicUrl, read_public_url
from dp_core._access._rights import EVERYTHING, RIGHTS, Access
from dp_core._access._secrets import (
    check_signing_secrets,
    read_secrets_file,
    secrets_file_from_environment,
    signing_secrets,
    webhook_keys,
)
from dp_core._access._signed import (
    TOKEN_IS_OVER,
    read_access,
    write_access,
)

__all__ = [
    "EVERYTHING",
    "PAGES_PATH",
    "RIGHTS",
    "TOKEN_IS_OVER",
    "Access",
    "PublicUrl",
    "check_signing_secrets",
    "link_base",
    "page_of",
    "read_access",
    "read_public_url",
    "read_secrets_file",
    "secrets_file_from_environment",
    "signing_secrets",
    "webhook_keys",
    "write_access",
    "write_link",
]
