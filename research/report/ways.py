"""The ways through a write-up's conditions: so many that each branch lies on one of them.

Which way is taken depends on a run; without one, all are tried.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template, nodes
from jinja2.environment import Environment
from jinja2.meta import find_undeclared_variables
from jinja2.visitor import NodeTransformer


def count(env: Environment, text: str) -> int:
    """How many ways there are. Raises TemplateSyntaxError for a text that is no template."""
    return _count([env.parse(text)])


def template(env: Environment, text: str, way: int, path: Path) -> Template:
    """The text as a template in which each condition is decided, its test evaluated all the same.

    Args:
        way: from 0; the count of ways less one is the last.
    """
    tree = _Way(way).visit(env.parse(text))
    return Template.from_code(env, env.compile(tree, filename=str(path)), env.make_globals(None))


def unknown(env: Environment, text: str, known: Iterable[str]) -> list[tuple[int, str]]:
    """(line, name) of all that the text uses, may not know and sets on no way."""
    tree = env.parse(text)
    named = list(tree.find_all(nodes.Name))
    made = {node.name for node in named if node.ctx != "load"}
    names = find_undeclared_variables(tree) - {*known, *env.globals} - made
    found = [(node.lineno, node.name) for node in named if node.name in names]
    return sorted(dict.fromkeys(found))


def _count(several: Sequence[nodes.Node]) -> int:
    """Ways through nodes that follow each other: what is decided in one binds no other."""
    return max([_count_of(node) for node in several], default=1)


def _count_of(node: nodes.Node) -> int:
    branches = _branches(node)
    if branches:
        return sum(map(_count, branches))
    return _count(list(node.iter_child_nodes()))


def _branches(node: nodes.Node) -> list[list[nodes.Node]]:
    if isinstance(node, nodes.If):
        return [node.body, *(other.body for other in node.elif_), node.else_]
    if isinstance(node, nodes.CondExpr):
        return [[node.expr1], [node.expr2 or nodes.Const("", lineno=node.lineno)]]
    return []


class _Way(NodeTransformer):
    """Puts in the place of each condition the branch that a way takes."""

    def __init__(self, way: int) -> None:
        self._number = way

    def visit_If(self, node: nodes.If) -> list[nodes.Node]:  # noqa: N802  jinja2's name
        tests = [node.test, *(other.test for other in node.elif_)]
        asked: list[nodes.Node] = [nodes.ExprStmt(test, lineno=test.lineno) for test in tests]
        return asked + self._chosen(node)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        line, chosen = node.lineno, self._chosen(node)
        pair = nodes.Tuple([node.test, *chosen], "load", lineno=line)
        return nodes.Getitem(pair, nodes.Const(1, lineno=line), "load", lineno=line)

    def _chosen(self, node: nodes.Node) -> list[Any]:
        branches = _branches(node)
        left = self._number % sum(map(_count, branches))
        for branch in branches:
            if left < _count(branch):
                break
            left -= _count(branch)
        inner = _Way(left)
        visited = [inner.visit(child) for child in branch]
        return [one for new in visited for one in (new if isinstance(new, list) else [new])]
