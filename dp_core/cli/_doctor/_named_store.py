"""`NamedStore`: the store that a command is about, and who named it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import Final, Self, final

from dp_core._client import DEFAULT_URL
from dp_core._text import shortened, visible, without_password

__all__ = ["NamedStore"]

_SHOWN: Final = 200


@final
@dataclass(frozen=True, slots=True)
class NamedStore:
    """
    A store URL, and where it is from.

    Attributes:
        url: The URL.
        source: Who named it, for people: "by --url", "by DP_URL", "the default".
    """

    url: str
    source: str

    @classmethod
    def of(cls, option: str | None) -> Self:
        """Return the URL of the option ``--url``, else that of the environment."""
        if option is not None:
            return cls(option, "by --url")
        if url := os.environ.get("DP_URL"):
            return cls(url, "by DP_URL")
        return cls(DEFAULT_URL, "the default")

    def __str__(self) -> str:
        # An empty one is a mistake, and is to be seen as one.
        return visible(shortened(without_password(self.url), _SHOWN)) or "''"

    @property
    def option(self) -> str:
        """The option that names the same store on a command line, if it needs one."""
        if self.source != "by --url" or str(self) != self.url:
            return ""
        return f" --url {shlex.quote(self.url)}"
