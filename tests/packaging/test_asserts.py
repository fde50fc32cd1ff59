"""The asserts of the tests: the expected value first."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from support.paths import ROOT


def is_literal(node: ast.expr) -> bool:
    """Tell whether an expression is written out: constants, and values of them."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            parts: Iterable[ast.AST] = node.args if name[:1].isupper() else [node.func]
        case ast.Constant() | ast.JoinedStr():
            parts = []
        case ast.Tuple() | ast.List() | ast.Set() | ast.Dict() | ast.UnaryOp():
            parts = ast.iter_child_nodes(node)
        case _:
            parts = [node]
    return all(
        part is not node and isinstance(part, ast.expr) and is_literal(part)
        for part in parts
        if not isinstance(part, ast.expr_context | ast.unaryop)
    )


def comparisons(node: ast.expr) -> Iterator[ast.Compare]:
    """Return the comparisons that an assert consists of."""
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                yield from comparisons(part)
        case ast.Compare():
            yield node


def actual_first(tree: ast.AST) -> Iterator[int]:
    """Return the lines of asserts that compare with a literal on the right."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            for compare in comparisons(node.test):
                match compare:
                    case ast.Compare(left, [ast.Eq()], [right]):
                        if is_literal(right) and not is_literal(left):
                            yield compare.lineno


def test_an_assert_names_the_expected_value_first() -> None:
    """Every assert says ``expected == actual``, so that a failure reads one way."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line in actual_first(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert [] == found


def test_an_actual_value_first_is_seen() -> None:
    """The check above sees calls, values of ours and parts of an ``and``."""
    tree = ast.parse(
        "assert f() == 1\n"
        "assert 1 == f()\n"
        "assert x and f(y) == dp.Resolved([1])\n"
        "assert f() == g()\n"
        "assert [x for x in y if x == 1]\n"
    )

    assert [1, 3] == list(actual_first(tree))
