"""
Decimal text of integers beyond the interpreter's limit.

``int("9" * 5000)`` and ``str(10**5000)`` are refused by CPython (its limit is
4,300 digits, because both are quadratic there). JSON sets no limit (RFC 8259
§6) and neither do we, so here are both directions by divide and conquer,
which keeps a number of a million digits under a second. The interpreter-wide
limit is the application's and stays as it is.
"""

from __future__ import annotations

import decimal

__all__ = ["int_from_text", "int_to_text"]

# Within the smallest limit that can be set: 640 digits.
_DIGITS = 600
_BITS = 1900


def int_from_text(text: str) -> int:
    """Return the integer that a JSON number without fraction denotes."""
    if len(text) <= _DIGITS:
        return int(text)
    if text[0] == "-":
        return -int_from_text(text[1:])
    half = len(text) // 2
    high, low = int_from_text(text[:-half]), int_from_text(text[-half:])
    power: int = 10**half
    return high * power + low


def int_to_text(number: int) -> str:
    """Return the decimal digits of *number*, all of them."""
    if number.bit_length() <= _BITS:
        return int.__repr__(number)
    with decimal.localcontext() as context:
        context.prec = decimal.MAX_PREC
        context.Emax = decimal.MAX_EMAX
        context.Emin = decimal.MIN_EMIN
        context.traps[decimal.Inexact] = True
        return str(_decimal(number, number.bit_length()))


def _decimal(number: int, bits: int) -> decimal.Decimal:
    if bits <= _BITS:
        return decimal.Decimal(number)
    half = bits // 2
    high = number >> half
    low = number - (high << half)
    return _decimal(low, half) + _decimal(high, bits - half) * (
        decimal.Decimal(2) ** half
    )
