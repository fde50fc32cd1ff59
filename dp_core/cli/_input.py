"""
Options that several commands share, and `read_value`: a value as JSON text.

``5`` is a number and ``hello`` is text: a value is JSON where it reads as
JSON, else plain text. A value that only begins like an object, an array or a
string, or that is not strict JSON (``NaN``), is taken for a slip of the pen
and refused; ``--text`` makes it text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Final

import click
from click.shell_completion import CompletionItem

from dp_core._client import DEFAULT_URL
from dp_core._errors import InvalidValueError
from dp_core._plugins import installed_schemes
from dp_core._text import decode_text, quoted, read_number, read_whole
from dp_core.values import MAX_VALUE_BYTES, check_text, encode

__all__ = [
    "FORMS",
    "json_lines_option",
    "json_option",
    "prefix_option",
    "read_ids",
    "read_option_value",
    "read_text",
    "read_value",
    "tag_option",
    "url_option",
]


def read_value(argument: str | None, form: str) -> bytes:
    """
    Return the JSON text of *argument*.

    Args:
        argument: The value as typed; ``-`` reads stdin, None means null.
        form: One of `FORMS`.

    Raises:
        InvalidValueError: It is not a valid value of that form.
    """
    return b"null" if argument is None else FORMS[form](read_text(argument))


def read_option_value(option: str, argument: str) -> bytes:
    """
    Return the JSON text of an option's value: JSON where it reads as JSON, else text.

    Raises:
        click.BadParameter: It is not a valid value.
    """
    try:
        return _as_either(read_text(argument))
    except InvalidValueError as error:
        reason = str(error).removesuffix(_SAY_TEXT)
        raise click.BadParameter(reason, param_hint=option) from None


def read_text(argument: str) -> str:
    """
    Return *argument*, or for ``-`` the text of stdin without its last line end.

    Raises:
        InvalidValueError: stdin is not UTF-8, or longer than any value can be.
        click.ClickException: stdin cannot be read.
    """
    if argument != "-":
        return argument
    try:
        raw = sys.stdin.buffer.read(_MAX_INPUT + 1)
    except OSError as error:
        raise click.ClickException(f"stdin cannot be read: {error.strerror}") from None
    if len(raw) > _MAX_INPUT:
        raise InvalidValueError(
            "$",
            f"stdin has more than {_MAX_INPUT:,} bytes; store the bulk elsewhere and "
            "settle with a reference",
        )
    try:
        return decode_text(raw).removesuffix("\n")
    except ValueError as error:
        raise InvalidValueError("$", f"stdin cannot be read: {error}") from None


# White space that is not kept may be longer than the value.
_MAX_INPUT: Final = 4 * MAX_VALUE_BYTES


def read_ids(file: BinaryIO) -> Iterator[str]:
    """
    Yield the ids in a file: one a line, as plain text or a JSON string.

    Raises:
        click.BadParameter: A line is not one.
    """
    first = True
    while line := file.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise click.BadParameter(f"a line has more than {_MAX_LINE:,} bytes")
        if not first:
            # A byte order mark is one at the beginning only.
            line = b"\n" + line
        try:
            text = decode_text(line).strip("\n")
            if text:
                yield str(json.loads(text)) if text.startswith('"') else text
        except ValueError as error:
            shown = quoted(line.decode(errors="replace").strip())
            raise click.BadParameter(f"{shown} is not a valid id: {error}") from None
        first = False


# An id of 1,024 bytes, each escaped.
_MAX_LINE: Final = 16 * 1024


def _as_json(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError("$", "it is not UTF-8") from None
    return check_text(raw)


def _as_either(text: str) -> bytes:
    if not _meant_as_json(text):
        return encode(text)
    try:
        return _as_json(text)
    except InvalidValueError as error:
        raise InvalidValueError(error.place, f"{error.reason}{_SAY_TEXT}") from None


_SAY_TEXT: Final = "; if it is plain text, say --text"


def _meant_as_json(text: str) -> bool:
    if text.lstrip().startswith(("{", "[", '"')):
        return True
    try:
        # Digits are not looked at: a million of them would cost a second.
        json.loads(text, parse_int=len)
    except ValueError:
        return False
    return True


FORMS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "either": _as_either,
    "text": encode,
    "json": _as_json,
}
"""``{form: function that reads a value of that form}``."""


# Options --------------------------------------------------------------------


class WholeNumber(click.IntRange):
    """A range of whole numbers, in plain digits."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; fail where it is not one, or not within the range."""
        return super().convert(_plain(self, read_whole, value, param, ctx), param, ctx)


class Number(click.FloatRange):
    """A range of numbers, in plain digits; what is not finite is in none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; fail where it is not one, or not within the range."""
        return super().convert(_plain(self, read_number, value, param, ctx), param, ctx)


def _plain(
    type: click.ParamType[Any],
    read: Callable[[str], float],
    value: Any,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return read(value)
    except ValueError as error:
        type.fail(str(error), param, ctx)


_Decorator = Callable[[Any], Any]


def _schemes(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(f"{scheme}:")
        for scheme in sorted(installed_schemes())
        if scheme.startswith(incomplete)
    ]


url_option: Final[_Decorator] = click.option(
    "--url",
    metavar="STORE",
    help=f"URL of the store.  [default: $DP_URL, else {DEFAULT_URL}]",
    shell_complete=_schemes,
)

json_option: Final[_Decorator] = click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON on stdout."
)


prefix_option: Final[_Decorator] = click.option(
    "--prefix",
    default="",
    metavar="TEXT",
    callback=lambda ctx, parameter, value: _unicode(value),
    help="Those whose ids begin with TEXT.",
)


def tag_option(help: str) -> _Decorator:
    """Return the option ``--tag``, whose parameter ``tags`` is a dict."""
    return click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_tags,
        help=help,
    )


def _tags(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in map(_unicode, values):
        key, sign, value = text.partition("=")
        if not (key and sign):
            raise click.BadParameter(
                f"{quoted(text)} is not a valid tag; write KEY=VALUE, such as order=17"
            )
        if tags.setdefault(key, value) != value:
            raise click.BadParameter(f"the tag {quoted(key)} is there twice")
    return tags


def _unicode(text: str) -> str:
    """Refuse bytes that are not UTF-8, which come as halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{quoted(text)} is not UTF-8") from None
    return text


json_lines_option: Final[_Decorator] = click.option(
    "--json", "as_json", is_flag=True, help="Print a line of JSON for each promise."
)
