"""
Decimal text of integers beyond the interpreter's limit.

``int("9" * 5000)`` and ``str(10**5000)`` are refused by CPython (its limit is
4,300 digits, because both are quadratic there). JSON sets no limit (RFC 8259
§6) and neither do we, so here are both directions by divide and conquer,
which keeps a number of a million digits about a second. The interpreter-wide
limit is the application's and stays as it is.

An operation on large integers holds the interpreter's lock until it is done, so
what takes long is made of steps that take a few milliseconds: other threads, such
as that of an event loop, go on in between.
"""

from __future__ import annotations

import decimal

__all__ = ["int_from_text", "int_to_text"]

# Within the smallest limit that can be set: 640 digits.
_DIGITS = 600
_BITS = 1900
# The product of two integers of so many bits takes a few milliseconds.
_STEP_BITS = 300_000


def int_from_text(text: str) -> int:
    """Return the integer that a JSON number without fraction denotes."""
    if len(text) <= _DIGITS:
        return int(text)
    if text[0] == "-":
        return -int_from_text(text[1:])
    ends = range(len(text), 0, -_DIGITS)
    parts = [int(text[max(0, end - _DIGITS) : end]) for end in ends]
    power = 10**_DIGITS
    while len(parts) > 1:
        # From pairs of neighbours to half as many parts, each twice as long.
        highs = parts[1::2]
        lows = parts[: 2 * len(highs) : 2]
        rest = parts[2 * len(highs) :]
        parts = [
            _product(high, power) + low for high, low in zip(highs, lows, strict=True)
        ] + rest
        if len(parts) > 1:
            power = _product(power, power)
    return parts[0]


def _product(one: int, other: int) -> int:
    """Return the product, by Karatsuba's algorithm in steps that are not long."""
    half = max(one.bit_length(), other.bit_length()) // 2
    if min(one.bit_length(), other.bit_length()) <= _STEP_BITS or half <= _STEP_BITS:
        return one * other
    mask = (1 << half) - 1
    high_1, low_1 = one >> half, one & mask
    high_2, low_2 = other >> half, other & mask
    high, low = _product(high_1, high_2), _product(low_1, low_2)
    middle = _product(high_1 + low_1, high_2 + low_2) - high - low
    return (high << 2 * half) + (middle << half) + low


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
