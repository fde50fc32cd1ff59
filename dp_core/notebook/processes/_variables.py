"""`assignment`: the cell by which variables of the notebook come to a process."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dp_core._errors import InvalidValueError
from dp_core.notebook.processes._errors import VariableError
from dp_core.values import encode

__all__ = ["assignment"]


def assignment(variables: Mapping[str, object]) -> str:
    """
    Return code for a kernel that sets variables to values, which travel as JSON.

    Raises:
        VariableError: A name is not one, or a value is none that JSON can hold.
    """
    texts = {}
    for name, value in variables.items():
        if not name.isidentifier():
            raise VariableError(name, "it is not a name in Python")
        try:
            texts[name] = encode(value).decode()
        except InvalidValueError as error:
            raise VariableError(name, str(error)) from None
    # Parsed there, so that numbers of any length and all text come as they are.
    return (
        "get_ipython().push({name: __import__('dp_core.values', fromlist=['decode'])"
        f".decode(text.encode()) for name, text in {json.dumps(texts)}.items()}})"
    )
