"""Laws about values: every value and every message comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing.kit import BYTES, BackendCall, LawContext, StoreHandle, law, shown
from dp_core.values import MAX_DEPTH, MAX_VALUE_BYTES, encode

__all__ = [
    "MESSAGES",
    "NUMBERS",
    "TEXTS",
    "VALUES",
    "every_json_value_comes_back",
    "every_message_comes_back",
    "every_number_is_exact",
    "every_plane_of_unicode_comes_back",
    "large_outcomes_come_back",
    "outcomes_are_not_interpreted",
    "value_text_is_kept",
]

VALUES: Final[tuple[Any, ...]] = (
    *(None, False, True, 0, 1, -1, "", "0", "null", "false", " ", [], {}),
    *([None], [[]], [{}], {"": ""}, {"a": None}, [0, "", False, None]),
    *(" padded ", 'quote " back \\ slash / tab \t line \n feed \r\n', "é", "\x7f"),
    *("a\u2028b\u2029c\u0085d", "%s %d {0} {x}", "<b>&amp;</b>", "'; drop table --"),
    *(
        "\0",
        "nul \0 inside",
        "\ufeffbom",
        "%41 a+b %20 %25",
        "line\n",
        "\x1b[0m",
        "\ud7ff",
    ),
    {"b": 1, "a": [1, 2, {"c": None}], "__proto__": {}, "constructor": "x"},
    [[[1, "two", None, True], {"deep": {"er": [[]]}}], 2**31, -(2**31), 0.5, 0.1],
)

NUMBERS: Final[tuple[Any, ...]] = (
    *(2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 + 1, -(2**63) - 1),
    *(10**30 + 1, 10**400 + 7, 0.0, -0.0, 1.0, 0.1 + 0.2, 1e-7, 1e16, 1e22, 123.456),
    *(5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.5e-10),
)

# Different spellings of equal values; the codec lets all of them through.
TEXTS: Final[tuple[bytes, ...]] = (
    *(b"1.0", b"1.50", b"1e2", b"1E+2", b"-0", b"-0.0", b"0.10", b"1e-5"),
    b"100000000000000000000000.0",
    *(rb'"\u0041"', rb'"\u00e9"', '"é"'.encode(), rb'"\/"', rb'"\ud83d\ude00"'),
    *(b'{"b":1,"a":2}', b'{"10":1,"9":2}', rb'{"\u0061":1}', rb'"\u2028"', b'"\x7f"'),
    *(rb'"\u0000"', b'"<b>&amp;"', rb'"\u003c"', rb'"\u000a"', rb'"\u00E9"', b'"/"'),
)

MESSAGES: Final[tuple[str, ...]] = (
    *("", " ", "\n", "\r\n", "\t", "\0", "no", "0", "false", "null", "None", "[]"),
    *(" padded ", "line\n", "line\r\n", "\nline", "a\x1cb\x85c\u2028d", "\ufeffbom"),
    *("nul \0 inside", "%41 a+b %20 %25", "&lt;", "a\tb", "two  blanks", "\rline"),
    *(
        '"quoted"',
        "it's",
        "\\n",
        "%s %(x)s {0}",
        "\x1b[31mred",
        "<b>&amp;",
        "é",
        "\x7f",
    ),
    "e" * 5000,
)

_LOOK_ALIKES: Final[tuple[Outcome[bytes], ...]] = (
    *(Resolved(encode(value)) for value in (
        *({"error": "no"}, {"value": 1}, {"state": "pending"}, {"state": "rejected"}),
        *("pending", "rejected", "error: no", "promise was disposed", "None"),
        *({"error": None}, {"value": None}, {"code": 500, "message": "no"}, ["error"]),
        *({"kind": "rejected", "error": "no"}, {"$ref": "#"}, {"type": "error"}),
    )),
    *(Rejected(message) for message in (
        *("1", "null", '"text"', '{"value":1}', '{"error":"no"}', "pending"),
        *("resolved", "promise was disposed", "timeout", "cancelled", "value: 1"),
    )),
)  # fmt: skip

_TOO_LATE: Final = Rejected("too late")


@law(BYTES)
async def every_json_value_comes_back(context: LawContext) -> None:
    """Every JSON value comes back as itself: null, false, 0, "" and [] too."""
    a, b = await context.pair()
    values = [Resolved(encode(value)) for value in (*VALUES, _nested(MAX_DEPTH))]
    for outcome, calls in [(v, await _all_results(context, a, b, v)) for v in values]:
        for call in calls:
            result = await call.ends()
            if not isinstance(result, Resolved) or not _same(
                result.value, outcome.value
            ):
                raise context.broken(f"{call} gave {shown(result)}", call.id)


@law(BYTES)
async def every_number_is_exact(context: LawContext) -> None:
    """Integers of any size and floats of any precision come back exactly."""
    await _all_come_back(context, (Resolved(encode(number)) for number in NUMBERS))


@law(BYTES)
async def value_text_is_kept(context: LawContext) -> None:
    """The JSON text of a value comes back byte for byte."""
    await _all_come_back(context, map(Resolved, TEXTS))


@law(BYTES)
async def every_message_comes_back(context: LawContext) -> None:
    """Every message comes back as itself: empty, blank and odd ones too."""
    await _all_come_back(context, map(Rejected, MESSAGES))


@law(BYTES)
async def every_plane_of_unicode_comes_back(context: LawContext) -> None:
    """Characters of all 17 planes of Unicode come back, composed or not."""
    planes = [chr((plane << 16) + 0x1F40) for plane in range(17)]
    words = [
        *planes,
        "".join(planes),
        "\U0001f469\u200d\U0001f4bb",
        "e\u0301",
        "\u00e9",
    ]
    words += ["\u05e9\u05dc\u05d5\u05dd", "\ufb01", "\ufffd", "\uffff", "\U0010ffff"]
    await _all_come_back(context, (Resolved(encode({word: word})) for word in words))
    await _all_come_back(context, map(Rejected, words))


@law(BYTES)
async def large_outcomes_come_back(context: LawContext) -> None:
    """Values and messages of up to 1 MiB come back whole."""
    alphabet = bytes(range(97, 123))
    for size in (255, 256, 4096, 65535, 65536, 65537, MAX_VALUE_BYTES):
        text = b'"%b"' % (alphabet * (size // 26 + 1))[: size - 2]
        await _all_come_back(context, [Resolved(text), Rejected(text[1:-1].decode())])


@law(BYTES)
async def outcomes_are_not_interpreted(context: LawContext) -> None:
    """A value that looks like an error stays a value, and the other way round."""
    await _all_come_back(context, _LOOK_ALIKES)


async def _all_come_back(
    context: LawContext, outcomes: Iterable[Outcome[bytes]]
) -> None:
    a, b = await context.pair()
    # All are settled first, so that on a store that polls all wait for one poll.
    for outcome, calls in [(o, await _all_results(context, a, b, o)) for o in outcomes]:
        for call in calls:
            await call.gives(outcome)


async def _all_results(
    context: LawContext, a: StoreHandle, b: StoreHandle, outcome: Outcome[bytes]
) -> list[BackendCall]:
    """Settle with *outcome*; return all calls that must return it."""
    id = context.id()
    waiting = b.wait(id)
    await context.turns(3)
    settling = a.settle(id, outcome)
    await settling.ends()
    late = [a.peek(id), b.peek(id), a.wait(id), a.settle(id, _TOO_LATE)]
    return [settling, *late, waiting]


def _same(text: bytes, other: bytes) -> bool:
    """Return whether two JSON texts have the same value, in whatever spelling."""
    try:
        spelled, known = json.loads(text), json.loads(other)
    except ValueError:
        return False
    return json.dumps(spelled, sort_keys=True) == json.dumps(known, sort_keys=True)


def _nested(depth: int) -> Any:
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"": value}
    return value
