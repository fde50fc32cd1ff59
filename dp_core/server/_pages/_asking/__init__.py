"""
People's requests: let in, and read.

============ ===============================================
``_visit``   `Visit`, a request, and how it is answered
``_forms``   forms and queries, as browsers send them
``_answers`` answers to a promise that are given in a form
``_cookie``  the token that a browser keeps
============ ===============================================
"""

from dp_core.server._pages._asking._answers import (
    FIELDS,
    ChoiceGoneError,
    choices_of,
    one_of,
    read_answer,
    text_of_choice,
)
from dp_core.server._pages._asking._cookie import (
    MAX_TOKEN,
    cookies_of,
    token_in_cookie,
)
from dp_core.server._pages._asking._forms import (
    FORM_TYPE,
    Form,
    form_bytes,
    query_without_token,
    read_path,
)
from dp_core.server._pages._asking._visit import (
    LOOKS,
    Visit,
    visited,
)

__all__ = [
    "FIELDS",
    "FORM_TYPE",
    "LOOKS",
    "MAX_TOKEN",
    "ChoiceGoneError",
    "Form",
    "Visit",
    "choices_of",
    "cookies_of",
    "form_bytes",
    "one_of",
    "query_without_token",
    "read_answer",
    "read_path",
    "text_of_choice",
    "token_in_cookie",
    "visited",
]
