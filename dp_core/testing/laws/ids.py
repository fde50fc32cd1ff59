"""Laws about ids: any text of 1 to 1,024 bytes is one, compared byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from itertools import chain, pairwise
from typing import Final, TypeAlias

from dp_core._ids import MAX_ID_BYTES
from dp_core._states import Resolved
from dp_core.testing.kit import IDS, PENDING, LawContext, StoreHandle, law
from dp_core.testing.laws.settling import NO, ONE, TWO

__all__ = [
    "every_id_can_be_used",
    "ids_are_no_numbers",
    "ids_are_no_patterns",
    "ids_are_not_decoded",
    "ids_are_not_sanitised",
    "ids_are_told_apart_by_all_their_bytes",
    "ids_keep_their_case",
    "ids_keep_their_normal_form",
    "ids_keep_their_segments",
    "ids_keep_their_white_space",
    "short_hashes_of_ids_do_not_collide",
    "suffixes_make_other_ids",
]

_Pairs: TypeAlias = Iterable[tuple[str, str]]


@law(IDS)
async def ids_keep_their_case(context: LawContext) -> None:
    """Ids that differ only by case are different."""
    await _tell_apart(
        context,
        _tails(
            context,
            ("a", "A"),
            ("ß", "SS"),
            ("ß", "ẞ"),
            ("\u0131", "I"),
            ("\u03c3", "\u03c2"),
        ),
    )


@law(IDS)
async def ids_keep_their_normal_form(context: LawContext) -> None:
    """Ids that differ only by Unicode normalisation are different."""
    pairs = [
        ("é", "e\u0301"),
        ("ﬁ", "fi"),
        ("Å", "\u212b"),
        ("\uff11", "1"),
        ("²", "2"),
    ]
    pairs += [("é", "e"), ("é", "?"), ("é", ""), ("ö", "oe"), ("가", "\u1100\u1161")]
    pairs += [("\U0001f600", "\U0001f601"), ("\U0001f600", "\uf600"), ("é", "Ã©")]
    await _tell_apart(context, _tails(context, *pairs))


@law(IDS)
async def ids_keep_their_white_space(context: LawContext) -> None:
    """Ids that differ only by white space are different."""
    blanks = [" ", "\n", "\t", "\r", "\r\n", "\u00a0", "\u200b", "\ufeff", "\x85"]
    pairs = [(id, id + blank) for blank in blanks for id in (context.id(),)]
    pairs += [(id, blank + id) for blank in blanks for id in (context.id(),)]
    pairs += _tails(context, ("a b", "a  b"), ("a b", "a\tb"), ("a\nb", "a b"))
    pairs += _tails(context, ("a\nb", "a\r\nb"), ("a b", "ab"), ("a\u00a0b", "a b"))
    await _tell_apart(context, pairs)


@law(IDS)
async def ids_keep_their_segments(context: LawContext) -> None:
    """Slashes, dots and dot segments in an id are characters like any others."""
    pairs = [("/", ""), ("/x", "//x"), ("/x", "/./x"), ("/x", "/y/../x"), (".", "")]
    pairs += [("/x", "/x/"), ("/x", "/x/."), ("/..", ""), ("/x", "\\x"), ("/x", "")]
    pairs += [("/x", "/x/y"), ("/x/y", "/x.y"), ("..", "."), ("/~", "/")]
    heads = ("/", "./", "../", "//", "~/", "../../", "x/../", "C:")
    pairs = _tails(context, *pairs)
    pairs += [(id, head + id) for head in heads for id in (context.id(),)]
    await _tell_apart(context, pairs)


@law(IDS)
async def ids_are_not_decoded(context: LawContext) -> None:
    """Escapes of URLs, JSON, HTML and shells in an id are not decoded."""
    pairs = [("%41", "A"), ("%2F", "/"), ("%2e", "."), ("%25", "%"), ("a+b", "a b")]
    pairs += [("%20", " "), ("\\n", "\n"), ("\\u0041", "A"), ("\\\\", "\\")]
    pairs += [("&amp;", "&"), ("&#65;", "A"), ("''", "'"), ("$HOME", "")]
    pairs += [("?a=b", ""), ("#x", ""), (";x", ""), ("%00", ""), ("=41", "A")]
    await _tell_apart(context, _tails(context, *pairs))


@law(IDS)
async def ids_are_no_patterns(context: LawContext) -> None:
    """Wildcards in an id stand for themselves."""
    pairs = [("abc", "a%"), ("abc", "a_c"), ("abc", "a*"), ("abc", "a?c"), ("abc", "*")]
    pairs += [("abc", "a[b]c"), ("abc", "a.c"), ("abc", "abc$"), ("abc", ".*")]
    pairs += [
        ("abc", "a{b}c"),
        ("abc", "%"),
        ("abc", "abc|x"),
        ("abc", "^abc"),
        ("%", "%%"),
    ]
    # They are not left out either.
    pairs += [(f"a{wild}c", "ac") for wild in "*%?_^$[]{}|."]
    await _tell_apart(context, _tails(context, *pairs))


@law(IDS)
async def ids_are_no_numbers(context: LawContext) -> None:
    """Ids that look like numbers are compared as text."""
    pairs = []
    for spell in _SPELLINGS:
        # Numbers this long are not used by anybody else.
        digits = str(int(context.id().replace("-", ""), 16) + 10**14)
        pairs += [(digits, spell(digits)), (digits * 3, spell(digits * 3))]
    digits = str(int(context.id().replace("-", ""), 16) + 10**18)
    pairs += [(f"{digits}1", f"{digits}2"), (f"-{digits}", f"-{digits}.0")]
    await _tell_apart(context, pairs)


_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    *("{}.0".format, "0{}".format, "{}e0".format, "+{}".format, "{}.".format),
    *("{}E0".format, "-{}".format, "{}n".format, "{}L".format, "00{}".format),
)


@law(IDS)
async def ids_are_not_sanitised(context: LawContext) -> None:
    """Ids that differ only by punctuation are different."""
    marks = "_-.:;,!@#$&=+~'\"`()[]{}<>|\\/ "
    pairs = [(f"a{one}b", f"a{two}b") for one, two in pairwise(marks)]
    pairs += [(f"a{mark}b", other) for mark in marks[1:] for other in ("ab", "a_b")]
    pairs += [
        ("\x01", "\x02"),
        ("\x7f", ""),
        ("a\x1bb", "ab"),
        ("1", "01"),
        ("1", "1.0"),
    ]
    await _tell_apart(context, _tails(context, *pairs))


@law(IDS)
async def suffixes_make_other_ids(context: LawContext) -> None:
    """No id is mixed up with a name that a store may derive from another id."""
    tails = [".tmp", ".json", ".d", ".lock", "~", ".bak", ".new", ".1", ".0", "-1"]
    tails += [":1", "/1", "#1", "@1", ".disposed", ":waiters", ":state", ".value", "_1"]
    tails += [".resolved", ".rejected", ".error", ":lock", "/value", ".part", ".old"]
    tails += [f"{mark}{word}" for mark in ":-_/" for word in _PARTS]
    pairs = [(id, id + tail) for tail in tails for id in (context.id(),)]
    heads = (".", "_", "tmp-", ".t-", ".d-", "lock:", "t:", "~")
    pairs += [(id, head + id) for head in heads for id in (context.id(),)]
    a = await _tell_apart(context, pairs)
    for one, other in pairs:
        # The same for rejections and for the next generation.
        await a.dispose(one).ends()
        await a.dispose(other).ends()
        await a.settle(one, NO).gives(NO, besides=[other])
        await a.peek(other).gives(PENDING, besides=[one])
        await a.settle(other, TWO).gives(TWO, besides=[one])
        await a.peek(one).gives(NO, besides=[other])


_PARTS: Final = ("error", "value", "result", "status", "state", "gen", "2")


@law(IDS)
async def ids_are_told_apart_by_all_their_bytes(context: LawContext) -> None:
    """Ids of up to 1,024 bytes that differ in one byte are different."""
    pairs = []
    for size in (
        24,
        32,
        64,
        100,
        128,
        200,
        250,
        255,
        256,
        500,
        512,
        1000,
        MAX_ID_BYTES,
    ):
        # The random part comes first in one base and last in the other.
        first, last = (
            context.id().ljust(size - 2, "."),
            context.id().rjust(size - 2, "."),
        )
        pairs += [(f"{first}xx", f"{first}xy"), (f"xx{last}", f"yx{last}")]
        half = size // 2
        middle = context.id().ljust(size - 1, ".")
        pairs += [(f"{middle[:half]}x{middle[half:]}", f"{middle}x")]
        shorter = context.id().ljust(size - 1, ".")
        pairs += [(shorter, f"{shorter}.")]
    wide = context.id("é" * MAX_ID_BYTES)
    wide = wide.encode()[: MAX_ID_BYTES - 4].decode(errors="ignore")
    pairs += [(f"{wide}é", f"{wide}è"), (f"{wide}\U0001f600", f"{wide}\U0001f601")]
    await _tell_apart(context, [*pairs, *_tails(context, ("ab", "ba"), ("aab", "aba"))])


@law(IDS)
async def short_hashes_of_ids_do_not_collide(context: LawContext) -> None:
    """
    Ids with the same checksum or shortened hash are different.

    The ids are pairs that collide in 17 common hash functions.
    """
    pairs = [pair async for pair in _unused(context, COLLISIONS.values())]
    a = await _tell_apart(context, pairs)
    # These ids are the same in every run, and the next run needs them as well.
    for id in chain(*pairs):
        await a.dispose(id).ends()


@law(IDS)
async def every_id_can_be_used(context: LawContext) -> None:
    """Every text of 1 to 1,024 bytes without NUL is an id, for every operation."""
    a = await context.open()
    ids = [context.id(tail) for tail in _AWKWARD]
    ids += [context.id(head=head) for head in _AWKWARD]
    ids += [context.id("x" * MAX_ID_BYTES)[:MAX_ID_BYTES]]
    ids += [id async for id, _ in _unused(context, ((id, id) for id in _BARE))]
    for n, id in enumerate(ids):
        value = Resolved(b"%d" % n)
        await a.settle(id, value).gives(value)
        await a.peek(id).gives(value)
        await a.wait(id).gives(value)
        await a.dispose(id).ends()
        await a.peek(id).gives(PENDING)
        await a.settle(id, NO).gives(NO)
        await a.dispose(id).ends()


_AWKWARD: Final = (
    *(
        "\n",
        "\r",
        "\t",
        "\x01",
        "\x1b[0m",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "\u202e",
    ),
    *('"', "'", "`", "\\", "/", "//", "/..", "?", "#", "%", "%zz", "&", "=", ";", ":"),
    *("é", "\U0001f600", "\U0010ffff", "\ufffe", "名前", " ", "{}", "[0]", "$x", "*"),
    *(",", "|", "<>", "@", "!", "~", "^", "--", "{id}", "%s", "."),
)

_BARE: Final = (
    *(".", "..", "/", "\\", " ", "\n", "~", "*", "%", "?", "#", "-", "-x", "..."),
    *("0", "x", "é", "\U0001f600", "'", '"', "null", "None", "CON", "./.", "../../x"),
    *("__class__", "__dict__", "__proto__", "constructor", "id", "keys", "lock"),
)
"""Ids without a random prefix: used only where the store has no such promise."""

COLLISIONS: Final[Mapping[str, tuple[str, str]]] = {
    hash: (f"dp-conformance-{one}", f"dp-conformance-{two}")
    for hash, one, two in (
        ("crc32", "c040a3a255", "927adade9e"),
        ("adler32", "120", "201"),
        ("fnv1a", "4485bd8556", "1b9c3db434"),
        ("djb2", "f0cb674efa", "1d9031961f"),
        ("java", "4dde607f6", "4cfd43ab30"),
        ("md5[:8]", "16332", "57748"),
        ("md5[-8:]", "5963", "25131"),
        ("sha1[:8]", "36097", "42453"),
        ("sha1[-8:]", "10185", "99129"),
        ("sha256[:8]", "14844", "119586"),
        ("sha256[-8:]", "3793", "80286"),
        ("sha512[:8]", "89260", "91068"),
        ("sha512[-8:]", "91200", "97984"),
        ("blake2b[:8]", "13583", "28125"),
        ("blake2b[-8:]", "2152", "104796"),
        ("blake2s[:8]", "29049", "35687"),
        ("sha3_256[:8]", "55897", "70801"),
    )
}
"""``{hash function: two ids}`` with equal hashes, or 8 equal hex digits of them."""


ALIKE: Final = (
    *(("a", "A"), ("a", "a "), ("a", "a\n"), ("a", " a"), ("é", "e\u0301"), ("é", "?")),
    *(("abc", "a%"), ("abc", "a_c"), ("abc", "a*"), ("abc", "a?c"), ("%41", "A")),
    *(("/x", "//x"), ("/x", "/x/"), ("a/b", "a/c"), ("a/b", "c/b"), ("a:b", "a:c")),
    *(("a-b", "a_b"), ("a.b", "a/b"), ("#x", ""), ("?x", ""), ("1", "1.0")),
    *((f"{'x' * size}a", f"{'x' * size}b") for size in (64, 128, 255, 512)),
)
"""Pairs of endings that careless stores take for the same, a few of each kind."""


def _tails(context: LawContext, *pairs: tuple[str, str]) -> list[tuple[str, str]]:
    return [(id + one, id + two) for one, two in pairs for id in (context.id("/"),)]


async def _unused(context: LawContext, pairs: _Pairs) -> AsyncIterator[tuple[str, str]]:
    """Yield the pairs of ids that are not in use; dispose of them afterwards."""
    a = await context.open()
    for pair in pairs:
        if [await a.peek(id).ends() for id in pair] == [PENDING, PENDING]:
            yield pair
            for id in pair:
                await a.dispose(id).ends()


async def _tell_apart(context: LawContext, pairs: _Pairs) -> StoreHandle:
    """Settle both ids of each pair; neither may affect the other."""
    a = await context.open()
    for one, two in pairs:
        await a.settle(one, ONE).gives(ONE)
        await a.peek(two).gives(PENDING, besides=[one])
        await a.settle(two, TWO).gives(TWO, besides=[one])
        await a.peek(one).gives(ONE, besides=[two])
        await a.wait(two).gives(TWO, besides=[one])
    return a
