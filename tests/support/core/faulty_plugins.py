"""Plugins with a fault each, as other packages may have them."""

from __future__ import annotations

from typing import Final

HOOK: Final = """
import dp_core, os, sys

@dp_core.hookimpl
def dp_register_backends({arguments}):
    {body}
"""
"""A plugin whose hook takes these arguments and does this."""

FAULTS: Final = {
    "import": ("import no_such_module", "no_such_module"),
    "exit": ("import sys; sys.exit(7)", "SystemExit: 7"),
    "exit with words": ("raise SystemExit('a\\nb')", "SystemExit: a b"),
    "base": ("raise BaseException('b')", "BaseException: b"),
    "no text": ("class E(Exception):\n def __str__(s): raise s\nraise E", "E"),
    "syntax": ("def", "SyntaxError"),
    "signature": (HOOK.format(arguments="registre", body="pass"), "registre"),
    "arguments": (HOOK.format(arguments="register, more", body="pass"), "more"),
    "raises": (HOOK.format(arguments="register", body="1 / 0"), "ZeroDivisionError"),
    "exits": (HOOK.format(arguments="register", body="sys.exit()"), "SystemExit"),
    "calls": (HOOK.format(arguments="register", body="register('f')"), "TypeError"),
    "nothing": (HOOK.format(arguments="register", body="pass"), "does not register"),
    "no hook": ("x = 1", "does not register"),
    "none": (HOOK.format(arguments="register", body="register('f', None)"), "NoneType"),
    "a name": (HOOK.format(arguments="register", body="register('f', 'F')"), "str"),
    "makes none": (
        HOOK.format(arguments="register", body="register('f', lambda url: None)"),
        "makes NoneType",
    ),
    "makes a dict": (
        HOOK.format(arguments="register", body="register('f', lambda url: {})"),
        "makes dict",
    ),
    "takes nothing": (
        HOOK.format(arguments="register", body="register('f', lambda: None)"),
        "TypeError",
    ),
    "fails": (
        HOOK.format(arguments="register", body="register('f', lambda url: 1 / 0)"),
        "ZeroDivisionError",
    ),
}
"""The source of a module with a fault, and a word of the error, by its name."""
