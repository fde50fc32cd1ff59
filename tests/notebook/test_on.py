"""``%%on alice --with ID``: code for a process, and the notebook's variables in it."""

from __future__ import annotations

from typing import Final

from support.notebook.kernels import Notebook

START: Final = """
from dp_core.notebook import Fleet
fleet = Fleet("alice", "bob")
await fleet.start()
ID = "a 'quoted' \\"id\\" with {braces} and ☃"
number, deep = 10**400, {"a": [1, None, (True,)]}
"""


async def test_variables_travel(notebook: Notebook) -> None:
    """Variables of the notebook arrive as they are, in one process or in all."""
    await notebook.run(START)

    cell = await notebook.run(
        "%%on alice bob --with ID number deep --out results\n"
        "from dp_core.notebook import process_name\n"
        "print(process_name())\n"
        "[ID, number == 10**400, deep]"
    )
    back = await notebook.run(
        "import ast\n"
        "[ast.literal_eval(r.value) == [ID, True, {'a': [1, None, [True]]}] "
        "for r in results.values()], [r.text for r in results.values()]"
    )

    assert "" == cell.error
    assert r"([True, True], ['alice\n', 'bob\n'])" == back.text.strip()
    # Also a cell with a magic; and its lines are numbered from one.
    own = await notebook.run("%%on alice --with ID\n%time x = ID\n1 / 0")
    assert "line 2" in own.traceback


async def test_what_cannot_travel_is_named(notebook: Notebook) -> None:
    """The error names the variable and the place in it, and nothing was sent."""
    await notebook.run(START + "bad = {'a': [fleet]}")

    cell = await notebook.run("%%on alice --with ID bad\nprint('ran')")
    unknown = await notebook.run("%%on alice --with ID nobody\nprint('ran')")
    after = await notebook.run("%%on alice\nID")

    assert cell.error.startswith(
        "VariableError: variable 'bad' cannot be sent to a process: "
        "not a JSON value at $.a[0]: Fleet"
    )
    assert unknown.error.startswith("VariableError: variable 'nobody' cannot")
    assert "ran" not in cell.text + unknown.text
    assert "NameError" in after.error


async def test_a_result_is_kept(notebook: Notebook) -> None:
    """``--out`` keeps what a cell said; ``--no-raise-error`` keeps its error, too."""
    await notebook.run(START)

    await notebook.run("%%on alice --out good\nprint('said')\n1 + 1")
    raised = await notebook.run("%%on alice --out kept\n1 / 0")
    await notebook.run("%%on alice --out bad --no-raise-error\n1 / 0")
    await notebook.run(
        "%%on bob --no-raise-error --out dead\nimport os; os.kill(os.getpid(), 9)"
    )
    cell = await notebook.run(
        "print(good.text, good.value, bad.error, dead.died, 'kept' in globals())"
    )

    assert "said\n 2 ZeroDivisionError: division by zero True False\n" == cell.text
    assert raised.error.startswith("ProcessFailedError: in process alice")


async def test_until_a_word_is_said(notebook: Notebook) -> None:
    """``--until`` goes on as soon as a word is said; what comes later is said once."""
    await notebook.run(START)

    begun = await notebook.run(
        "%%on alice --until ready &\nprint('ready', flush=True)\nprint('later')"
    )
    joined = await notebook.run("await fleet.join('alice')")
    again = await notebook.run("await fleet.join('alice')")

    assert 1 == (begun.text + joined.text + again.text).count("│ later")
    assert "│ ready" in begun.text


MISTAKES: Final = {
    "%%on alice --zork\n1": "unrecognized arguments: --zork",
    "%%on --with ID\n1": "the following arguments are required: names",
    "%%on alice --with\n1": "expected at least one argument",
    "%%on alice 'x\n1": "%%on: No closing quotation",
    "%%on alice --out x &\n1": "%%on: there is no result yet; await fleet.join(…)",
    "%%on alice --until x\n1": "%%on: --until is for the background",
}


async def test_mistakes_are_said(notebook: Notebook) -> None:
    """An option that does not exist, or makes no sense, is named; no code runs."""
    await notebook.run(START)

    for code, error in MISTAKES.items():
        cell = await notebook.run(code)
        assert error in cell.error + cell.text
        assert "│" not in cell.text


async def test_predictions_by_a_word(notebook: Notebook) -> None:
    """``%predict`` notes a word, and completes it; without one, all goes on."""
    await notebook.run(
        "from dp_core.notebook import Question\n"
        "colour = Question('Which?', red='it is red', green='it is green')"
    )

    opened = await notebook.run("%predict colour")
    compared = await notebook.run("colour.compare(red=True)")
    right = await notebook.run("%predict colour Red.")
    await notebook.run(
        "colour = Question('Which?', red='it is red', green='it is green')"
    )
    kept = await notebook.run("%predict colour")
    unknown = await notebook.run("%predict size big")
    names, words = [
        (await notebook.client.complete(text, reply=True, timeout=60))["content"]
        for text in ("%predict ", "%predict colour g")
    ]

    assert "○ open: No prediction yet. Write red or green" in opened.text
    assert "It is" not in opened.text + compared.text
    assert (
        "✔ right: You predicted red. It is red: it is red\n" == right.text == kept.text
    )
    assert "no question 'size'; run the cell that asks" in unknown.text
    assert "colour" in names["matches"]
    assert {"red", "green"} >= set(words["matches"]) >= {"green"}
