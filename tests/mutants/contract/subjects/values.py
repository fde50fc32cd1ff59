"""Mutants that keep values and messages wrongly."""

from __future__ import annotations

import json
from urllib.parse import unquote

from dp_core import Pending, Rejected, Resolved
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_, Right, State_


class Rewriting(Right):
    """Keeps what `rewritten` makes of an outcome. A base class, not a mutant."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        return super().put(id, self.rewritten(outcome))

    def rewritten(self, outcome: Outcome_) -> Outcome_:
        match outcome:
            case Resolved(text):
                return Resolved(self.text(text))
            case Rejected(error):
                return Rejected(self.message(error))
        return outcome

    def text(self, text: bytes) -> bytes:
        return text

    def message(self, error: str) -> str:
        return error


@mutant(
    "every-json-value-comes-back",
    "Restate's example client: resolved with null and pending look alike",
    alone=True,
)
class NullIsPending(Right):
    """A promise that was resolved with null is returned as pending."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        return Pending() if state == Resolved(b"null") else state


@mutant("every-json-value-comes-back", "if value: in dynamic languages")
class FalsyIsNull(Rewriting):
    """The values false, 0, "" and empty containers become null."""

    def text(self, text: bytes) -> bytes:
        return text if json.loads(text) else b"null"


@mutant(
    "every-number-is-exact",
    "JavaScript and every JSON library that reads numbers as doubles (RFC 8259 §6)",
    alone=True,
)
class IntegersAreDoubles(Rewriting):
    """Integers beyond 2**53 are rounded."""

    def text(self, text: bytes) -> bytes:
        value = json.loads(text)
        if isinstance(value, int) and 2**53 < abs(value) < 2**1000:
            return b"%d" % int(float(value))
        return text


@mutant(
    "value-text-is-kept",
    "PostgreSQL jsonb, which keeps the value and not its text",
    alone=True,
)
class Reserialised(Rewriting):
    """Values are parsed and written again, in other spelling."""

    def text(self, text: bytes) -> bytes:
        value = json.loads(text)
        compact = (",", ":")
        return json.dumps(value, separators=compact, ensure_ascii=False).encode()


@mutant("value-text-is-kept", "canonical JSON: keys sorted for the sake of hashing")
class KeysSorted(Rewriting):
    """The keys of objects are sorted."""

    def text(self, text: bytes) -> bytes:
        if not text.startswith(b"{"):
            return text
        value = json.loads(text)
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


@mutant("value-text-is-kept", "Go's encoding/json, which escapes HTML")
class HtmlEscaped(Rewriting):
    """The characters <, > and & become JSON escapes."""

    def text(self, text: bytes) -> bytes:
        for mark in b"<>&":
            text = text.replace(b"%c" % mark, b"\\u%04x" % mark)
        return text


@mutant("every-json-value-comes-back", "PostgreSQL text, which has no NUL")
class NulRemoved(Rewriting):
    """The escape of NUL is removed from values."""

    def text(self, text: bytes) -> bytes:
        return text.replace(rb"\u0000", b"")


@mutant("every-json-value-comes-back", "codecs that skip a byte order mark: utf-8-sig")
class MarkSkipped(Rewriting):
    """A byte order mark inside a value is removed."""

    def text(self, text: bytes) -> bytes:
        return text.decode().replace("\ufeff", "").encode()


@mutant("every-message-comes-back", "error or 'unknown error'", alone=True)
class EmptyMessageReplaced(Rewriting):
    """A rejection without a message gets one."""

    def message(self, error: str) -> str:
        return error or "rejected"


@mutant("every-message-comes-back", "if error: as the test for a rejection")
class EmptyMessageResolves(Right):
    """A rejection with an empty message is returned as null."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        return Resolved(b"null") if state == Rejected("") else state


@mutant("every-message-comes-back", "files opened in text mode: newline translation")
class NewlinesTranslated(Rewriting):
    """CR LF in a message becomes LF."""

    def message(self, error: str) -> str:
        return error.replace("\r\n", "\n")


@mutant("every-message-comes-back", "gRPC: grpc-message is percent-encoded")
class PercentDecoded(Rewriting):
    """Percent escapes in a message are decoded, although it was never encoded."""

    def message(self, error: str) -> str:
        return unquote(error)


@mutant("every-message-comes-back", "C strings")
class EndsAtNul(Rewriting):
    """A message ends at its first NUL."""

    def message(self, error: str) -> str:
        return error.partition("\0")[0] if "\0" in error else error


@mutant(
    "every-plane-of-unicode-comes-back", "MySQL's utf8, which is utf8mb3", alone=True
)
class ThreeBytesOfUtf8(Rewriting):
    """Characters beyond the basic plane become question marks."""

    def text(self, text: bytes) -> bytes:
        return self.message(text.decode()).encode()

    def message(self, error: str) -> str:
        return "".join(c if c <= "\uffff" else "?" for c in error)


@mutant(
    "large-outcomes-come-back", "MySQL TEXT: 65,535 bytes unless strict", alone=True
)
class Truncated(Rewriting):
    """Values longer than 65,535 bytes are cut."""

    def text(self, text: bytes) -> bytes:
        return text if len(text) < 65536 else text[:65534] + b'"'


@mutant("large-outcomes-come-back", "log lines and headers with a limit of their own")
class LongMessagesCut(Rewriting):
    """Messages are cut at 64,000 characters."""

    def message(self, error: str) -> str:
        return error[:64000]


@mutant(
    "outcomes-are-not-interpreted",
    'envelopes told apart by their keys: {"error": …} is an error',
    alone=True,
)
class SniffsErrors(Right):
    """A value that is an object with the key "error" is returned as a rejection."""

    def look(self, id: str) -> State_:
        state = super().look(id)
        if isinstance(state, Resolved) and state.value.startswith(b'{"error":"'):
            return Rejected(json.loads(state.value)["error"])
        return state


@mutant("outcomes-are-not-interpreted", "a column for both, told apart by a prefix")
class PrefixedErrors(Rewriting):
    """
    Rejections are kept as text that starts with "error: ".

    A value that starts so is returned as a rejection.
    """

    def rewritten(self, outcome: Outcome_) -> Outcome_:
        if isinstance(outcome, Resolved) and outcome.value.startswith(b'"error: '):
            return Rejected(json.loads(outcome.value)[7:])
        return outcome
