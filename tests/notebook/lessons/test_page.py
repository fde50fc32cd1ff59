"""The page about notebooks: its lesson runs as it is written."""

from __future__ import annotations

import re

import pytest

from dp_core.notebook import Sealed, seal
from support.notebook.kernels import Notebook
from support.paths import ROOT

PAGE = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
LESSON = PAGE.split("## Write a lesson")[1].split("## How it is made")[0]


async def test_the_lesson_runs(notebook: Notebook, id: str) -> None:
    """The cells of the lesson ask, take a prediction, compare it, and check."""
    await notebook.run(
        "from dp_core.notebook import Question, Sealed, check\n"
        f"promise = dp.durable_promise({id!r})\nawait promise.resolve(1)"
    )

    asks, predicts, compares, checks = [
        await notebook.run(code)
        for code in re.findall(
            r"^```python\n(.*?)^```", LESSON, re.DOTALL | re.MULTILINE
        )
    ]
    predicted = await notebook.run("%predict late resolved")
    answered = await notebook.run(
        re.search(r"^check\(.*$", LESSON, re.MULTILINE)[0].replace(  # type: ignore[index] # it is there
            "check(answer", "check('rejected, resolved'"
        )
    )

    assert "It is resolved, and then rejected. What is it?" in asks.text
    assert "○ open" in predicts.text
    assert "○ open: You have made no prediction" in compares.text
    assert "○ open: Not tried yet." in checks.text
    assert "✔ right: You predicted resolved." in predicted.text
    assert "✔ right" in answered.text


def test_the_seal_on_the_page() -> None:
    """The page shows one seal, and it is of the answer that is sealed there."""
    [shown] = {Sealed(text) for text in re.findall(r'Sealed\("(.*?)"\)', LESSON)}

    assert "" == shown.what_is_wrong({"resolved", "rejected"})
    assert repr(shown)[:12] == repr(seal({"resolved", "rejected"}))[:12]


@pytest.mark.parametrize("name", ["%scratch", "%predict", "--with", "--out", "--until"])
def test_the_table_has_it(name: str) -> None:
    """What cells may begin with is in the table."""
    assert name in PAGE.split("## Write a lesson")[0]
