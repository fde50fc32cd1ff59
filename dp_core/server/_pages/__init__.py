"""
`PAGES` for people: the page of a promise, by a link, and the board.

=================== ==========================================================
``_rows``           what of the table of endpoints is for people
``_answer_board``   requests for the board: its page, its stream, a token
``_board_page``     the board
``_answer_new``     requests for the page on which a promise is made
``_answer_promise`` requests for the page of a promise
``_promise_page``   the page of a promise, and what it says of an answer
``_asking``         people's requests: let in, and read
``_showing``        templates, trees, times, failures
=================== ==========================================================
"""

from dp_core.server._pages._rows import PAGES

__all__ = ["PAGES"]
