"""Mutants that tell ids apart wrongly."""

from __future__ import annotations

import hashlib
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote

from dp_core import BackendError, Rejected
from mutants.contract.registry import mutant
from mutants.contract.right import Entry, Outcome_, Right, State_, Store


@mutant("ids-keep-their-case", "SQLite's COLLATE NOCASE: ASCII only", alone=True)
class AsciiCaseFolded(Right):
    """Ids that differ only by the case of ASCII letters are the same."""

    def key(self, id: str) -> str:
        return id.encode().lower().decode()


@mutant("ids-keep-their-case", "file systems of macOS and Windows")
class CaseFolded(Right):
    """Ids that differ only by case are the same."""

    def key(self, id: str) -> str:
        return id.casefold()


class Channels(Right):
    """Waiters listen at the channel of an id. A base class, not a mutant."""

    class _Store(Store):
        def __init__(self) -> None:
            super().__init__()
            self.listeners: defaultdict[str, list[Entry]] = defaultdict(list)

    store_type = _Store
    store: _Store

    def channel(self, id: str) -> str:
        return id

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        if not entry.over.is_set():
            entry = Entry()
            self.store.listeners[self.channel(id)].append(entry)
            await entry.over.wait()
        return entry.result(id)

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        self.send(id, stands)
        return stands

    def forget(self, id: str) -> None:
        super().forget(id)
        self.send(id, None)

    def send(self, id: str, outcome: Outcome_ | None) -> None:
        for entry in self.store.listeners.pop(self.channel(id), []):
            entry.outcome = outcome
            entry.over.set()


@mutant("waiters-hear-only-of-their-own", "PostgreSQL: LISTEN folds case")
class ChannelsFolded(Channels):
    """Ids that differ only by case share one channel of notifications."""

    def channel(self, id: str) -> str:
        return id.lower()


@mutant("waiters-hear-only-of-their-own", "PostgreSQL: channels have 63 bytes")
class ChannelsCut(Channels):
    """Ids with the same first 63 characters share one channel of notifications."""

    def channel(self, id: str) -> str:
        return id[:63]


@mutant("dispose-leaves-other-ids-alone", "DELETE whose parameter is a CHAR")
class DisposesStripped(Right):
    """A disposal ignores white space around an id."""

    def forget(self, id: str) -> None:
        for other in [*self.store.entries]:
            if other.strip() == id.strip():
                super().forget(other)


@mutant("ids-keep-their-normal-form", "file names on HFS+, normalised", alone=True)
class Normalised(Right):
    """Ids are normalised to NFC."""

    def key(self, id: str) -> str:
        return unicodedata.normalize("NFC", id)


@mutant("ids-keep-their-normal-form", "identifiers of Python: NFKC")
class CompatiblyNormalised(Right):
    """Ids are normalised to NFKC, which replaces look-alikes too."""

    def key(self, id: str) -> str:
        return unicodedata.normalize("NFKC", id)


@mutant("ids-keep-their-normal-form", "latin-1 and ASCII with errors='replace'")
class AsciiOnly(Right):
    """Every character of an id that is not ASCII becomes a question mark."""

    def key(self, id: str) -> str:
        return id.encode("ascii", "replace").decode()


@mutant("ids-keep-their-white-space", "forms that trim what is typed", alone=True)
class Stripped(Right):
    """White space around an id is removed."""

    def key(self, id: str) -> str:
        return id.strip()


@mutant("ids-keep-their-white-space", "CHAR columns of SQL: trailing blanks")
class TrailingBlanks(Right):
    """Blanks at the end of an id are removed."""

    def key(self, id: str) -> str:
        return id.rstrip(" ")


@mutant("ids-keep-their-segments", "URL and path libraries: normpath", alone=True)
class PathsNormalised(Right):
    """Dot segments and double slashes in an id are collapsed."""

    def key(self, id: str) -> str:
        return posixpath.normpath(id)


@mutant("ids-keep-their-segments", "routers that ignore a trailing slash")
class TrailingSlash(Right):
    """A slash at the end of an id is ignored."""

    def key(self, id: str) -> str:
        return id.rstrip("/") or id


@mutant("ids-are-not-decoded", "gateways that unquote a path twice", alone=True)
class Unquoted(Right):
    """Percent escapes in an id are decoded."""

    def key(self, id: str) -> str:
        return unquote(id)


class Pattern(Right):
    """A peek takes some characters for wildcards. A base class, not a mutant."""

    wild: Mapping[str, str]

    def look(self, id: str) -> State_:
        wild = self.wild
        pattern = re.compile("".join(wild.get(c, re.escape(c)) for c in id), re.DOTALL)
        names = [name for name in self.store.entries if pattern.fullmatch(name)]
        return super().look(names[0] if names else id)


@mutant("ids-are-no-patterns", "names that are topics: NATS", alone=True)
class TopicPattern(Pattern):
    """A peek takes an asterisk in an id for a wildcard."""

    wild = MappingProxyType({"*": ".*"})


@mutant("ids-are-no-patterns", "SQL LIKE without escapes")
class LikePattern(Pattern):
    """A peek takes percent signs and underscores in an id for wildcards."""

    wild = MappingProxyType({"%": ".*", "_": "."})


@mutant("ids-are-no-patterns", "names from which wildcards are removed")
class WildcardsRemoved(Right):
    """Asterisks in an id are removed."""

    def key(self, id: str) -> str:
        return id.replace("*", "")


@mutant("ids-are-no-numbers", "SQLite: a column not said to be TEXT", alone=True)
class NumericAffinity(Right):
    """Ids that look like numbers are compared as numbers."""

    def key(self, id: str) -> str:
        return str(float(id)) if re.fullmatch(r"[+-]?\d+(\.\d*)?", id) else id


@mutant("ids-are-not-sanitised", "file names made safe for Windows", alone=True)
class Sanitised(Right):
    """Characters that Windows forbids in names become underscores."""

    def key(self, id: str) -> str:
        return re.sub(r'[<>:"|*?]', "_", id)


@mutant("ids-are-not-sanitised", "slugs")
class Slug(Right):
    """Everything but letters and digits in an id becomes a hyphen."""

    def key(self, id: str) -> str:
        return re.sub(r"\W+", "-", id)


@mutant("suffixes-make-other-ids", "temporary files beside the real ones", alone=True)
class TemporaryBeside(Right):
    """A temporary record stays under the id with ".tmp" at its end."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        self.store.entry(f"{id}.tmp").outcome = outcome
        return super().put(id, outcome)


@mutant("suffixes-make-other-ids", "key-value stores: one key for each field")
class ErrorBeside(Right):
    """A rejection is kept under the id with ":error" at its end."""

    def look(self, id: str) -> State_:
        beside = super().look(f"{id}:error")
        return beside if isinstance(beside, Rejected) else super().look(id)

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if stands is outcome and isinstance(outcome, Rejected):
            super().put(f"{id}:error", outcome)
        return stands

    def forget(self, id: str) -> None:
        super().forget(f"{id}:error")
        super().forget(id)


@mutant(
    "ids-are-told-apart-by-all-their-bytes", "VARCHAR(255) unless strict", alone=True
)
class CutAt255(Right):
    """Ids are cut at 255 bytes."""

    def key(self, id: str) -> str:
        return id.encode()[:255].decode(errors="ignore")


@mutant("ids-are-told-apart-by-all-their-bytes", "hashes that add up characters")
class AddedUp(Right):
    """Ids are compared by the sum of their bytes."""

    def key(self, id: str) -> str:
        return str(sum(id.encode()))


@mutant("short-hashes-of-ids-do-not-collide", "abbreviated git commits", alone=True)
class ShortHash(Right):
    """Ids are compared by 8 hex digits of their SHA-256."""

    def key(self, id: str) -> str:
        return hashlib.sha256(id.encode()).hexdigest()[:8]


@mutant("every-id-can-be-used", "shard directories named by two characters", alone=True)
class ShardedByName(Right):
    """
    An id is split into a folder of two characters and a name.

    Shorter ids are refused.
    """

    def key(self, id: str) -> str:
        shard, name = id[:2], id[2:]
        if not name:
            raise BackendError(f"no file name left of {id!r}")
        return f"{shard}/{name}"


@mutant("every-id-can-be-used", "indexes with one id on each line")
class OneOnEachLine(Right):
    """An id that contains a newline is refused."""

    def key(self, id: str) -> str:
        if "\n" in id:
            raise BackendError("malformed index")
        return id


@mutant("every-id-can-be-used", "file names: 255 bytes at most")
class FileNameTooLong(Right):
    """Ids longer than 255 bytes are refused."""

    def key(self, id: str) -> str:
        if len(id.encode()) > 255:
            raise BackendError("File name too long")
        return id


@mutant("volume-changes-nothing", "hash tables without a look at the key")
class FewBuckets(Right):
    """Ids are compared by four hex digits of a hash."""

    def key(self, id: str) -> str:
        return hashlib.md5(id.encode(), usedforsecurity=False).hexdigest()[:4]
