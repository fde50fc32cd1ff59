"""
`write_access`, `read_access`: access as a signed token, and back.

A token is a JWT (RFC 7519) with one algorithm, HS256, and three claims that must be
there: ``rights``, ``ids`` or ``id``, and ``exp``. ``sub`` names who has it. Claims of
others are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any, Final

import jwt

from dp_core._access._rights import Access
from dp_core._errors import AccessDeniedError

__all__ = ["TOKEN_IS_OVER", "read_access", "write_access"]

TOKEN_IS_OVER: Final = "this token is over"  # noqa: S105 - a reason
"""The reason by which a token is refused that was good before."""

_ALGORITHM: Final = "HS256"


def write_access(access: Access, expires: datetime, secrets: Sequence[str]) -> str:
    """
    Return a token.

    Args:
        access: The rights.
        expires: Until when they last.
        secrets: The first one signs.
    """
    claims: dict[str, Any] = {
        "rights": sorted(access.rights),
        "exp": ceil(expires.timestamp()),
    }
    if access.id is not None:
        claims["id"] = access.id
    else:
        claims["ids"] = ["*"] if access.ids is None else list(access.ids)
    if access.name is not None:
        claims["sub"] = access.name
    return jwt.encode(claims, secrets[0], _ALGORITHM)


def read_access(token: bytes, secrets: Sequence[str]) -> Access:
    """
    Return what a token says that one of the secrets has signed.

    Raises:
        AccessDeniedError: It was not signed by any, is over, or says nothing that we
            know. The text says which, and nothing of the token.
    """
    for secret in secrets:
        try:
            read = jwt.decode_complete(
                token, secret, algorithms=[_ALGORITHM], options=_OPTIONS
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.ExpiredSignatureError:
            raise AccessDeniedError(TOKEN_IS_OVER) from None
        except Exception:  # noqa: BLE001 - what strangers sent is parsed
            break
        return _read_claims(read["header"], read["payload"])
    raise AccessDeniedError("this is not the server's token")


_MOST_SECONDS: Final = 1e15
"""An end that a float tells exactly, thirty million years from now."""

_OPTIONS: Final[Any] = {"require": ["exp", "rights"]}


def _read_claims(header: Mapping[str, object], claims: Mapping[str, Any]) -> Access:
    kind, expires = header.get("typ", "JWT"), claims["exp"]
    rights, name = claims["rights"], claims.get("sub")
    one, several = claims.get("id"), claims.get("ids")
    if (
        not (isinstance(kind, str) and kind.upper() == "JWT")
        or not (isinstance(expires, int | float) and expires <= _MOST_SECONDS)
        or not _are_texts(rights)
        or not (name is None or isinstance(name, str))
        or (one is None) == (several is None)
        or not (isinstance(one, str) if several is None else _are_texts(several))
    ):
        raise AccessDeniedError("this token says what the server does not know")
    return Access(
        frozenset(rights),
        None if several is None else tuple(several),
        one,
        name,
        float(expires),
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
