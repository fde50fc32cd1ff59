"""The code and the commands in the documents of this repository."""

from __future__ import annotations

import re
from typing import NamedTuple

from support.paths import ROOT

__all__ = ["Block", "Command", "blocks", "console"]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Block(NamedTuple):
    """A block of code in a document."""

    language: str
    text: str


class Command(NamedTuple):
    """A line that a reader enters, and what they get to see."""

    line: str
    output: str


def blocks(name: str) -> list[Block]:
    """Return the blocks of code in a document."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [Block(*found) for found in BLOCK.findall(text)]


def console(name: str, word: str) -> list[Command]:
    """Return the commands of the one block in a document that has *word*."""
    [block] = [b for b in blocks(name) if b.language == "console" and word in b.text]
    return [Command(*found) for found in COMMAND.findall(block.text)]
