"""The checks in a test cell: what each expects of an answer, and where a switch could make it fail.

Works on source text and runs nothing. A check is left alone unless it is certain to run, and to fail once changed.
"""

import ast
from dataclasses import dataclass

from tl_course.grading import certain_code, comparisons
from tl_course.grading.certain_code import base, last
from tl_course.grading.changed_literals import Leaf, Slack, leaves
from tl_course.grading.switch import Switch

_RAISES = {"raises", "assertRaises", "assertRaisesRegex", "assert_raises", "warns", "assertWarns"}
_PLAIN_BLOCKS = {"open", "no_grad", "inference_mode", "errstate", "catch_warnings", "printoptions"}
_PLAIN_BLOCKS |= {"TemporaryDirectory", "NamedTemporaryFile", "redirect_stdout", "redirect_stderr"}
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


@dataclass(frozen=True)
class Point:
    """A place for a switch: the check that it belongs to, and how it changes it."""

    check: int
    kind: str


class Checks:
    """A cell's tree and its checks, with a switch at some of its points.

    Points and leaves come in the same order whichever of them have a switch.

    Args:
        source: the cell's text.
        switched: numbers of the points that get a switch.
        switch: the switch's function.
    """

    def __init__(self, source: str, switched: frozenset[int], switch: Switch) -> None:
        self.points: list[Point] = []
        self.leaves: list[Leaf] = []
        self.keys: dict[int, list[ast.Constant]] = {number: [] for number in switched}
        self._switch = switch
        self._check = 0
        self._bound: dict[str, list[ast.expr]] = {}
        self.tree = certain_code.parsed(source)
        if self.tree is not None:
            self._looped = certain_code.looped_over(self.tree)
            self._functions = certain_code.functions(self.tree)
            self._walk(self.tree.body)
            if switched:
                switch.define(self.tree)

    def _walk(self, body: list[ast.stmt]) -> None:
        """Find the checks in statements that are certain to run."""
        for statement in body:
            self._check += 1
            if isinstance(statement, ast.Assert):
                statement.test = self._truth(statement.test)
            elif isinstance(statement, ast.If) and certain_code.only_raises(statement):
                statement.test = self._wrong(statement.test)
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self._call(statement.value)
            elif isinstance(statement, ast.With):
                self._block(statement)
            elif isinstance(statement, ast.For) and self._runs(statement) and self.tree is not None:
                self._bound |= certain_code.columns(statement, self.tree)
                self._walk(statement.body)

    def _truth(self, test: ast.expr) -> ast.expr:
        """A test with points at what it compares, and one that turns it round."""
        self._compared(test)
        return self._wrap(test, self._point("not"), "not")

    def _wrong(self, test: ast.expr) -> ast.expr:
        """The test of an if statement that raises when it is true."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._compared(test.operand)
        elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.NotEq):
            self._equal(test, filled=False)
        return self._wrap(test, self._point("not"), "not")

    def _compared(self, test: ast.expr) -> None:
        """Points at the parts of an expression each of which has to hold."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for value in test.values:
                self._compared(value)
        elif isinstance(test, ast.Compare):
            self._comparison(test)
        elif isinstance(test, ast.Call) and last(test.func) == "all":
            self._every(test)
        elif isinstance(test, ast.Call) and comparisons.is_function(test):
            self._close(test)

    def _every(self, call: ast.Call) -> None:
        """``(a == b).all()`` and ``np.all(a == b)``."""
        inner: ast.expr | None = None
        if not call.args and isinstance(call.func, ast.Attribute):
            inner = call.func.value
        elif len(call.args) == 1 and base(call.func) in comparisons.MODULES:
            inner = call.args[0]
        if isinstance(inner, ast.Compare) and len(inner.ops) == 1 and isinstance(inner.ops[0], ast.Eq):
            self._equal(inner, filled=True)
        elif isinstance(inner, ast.Call) and last(inner.func) == "isclose" and comparisons.is_function(inner):
            self._close(inner)

    def _comparison(self, test: ast.Compare) -> None:
        operator, right = test.ops[-1], test.comparators[-1]
        if all(isinstance(op, _ORDER) for op in test.ops):
            self._difference(test)
            if isinstance(test.left, ast.Constant):
                test.left = self._wrap(test.left, self._point("order"), "order")
            else:
                test.comparators[-1] = self._wrap(right, self._point("order"), "order")
        elif len(test.ops) == 1 and isinstance(operator, ast.Eq):
            self._equal(test, filled=False)
        elif len(test.ops) == 1 and isinstance(operator, ast.Is):
            if isinstance(right, ast.Constant) and isinstance(right.value, (bool, type(None))):
                self._expect([right], None)
            test.comparators[0] = self._wrap(right, self._point("identity"), "identity")
        elif len(test.ops) == 1 and isinstance(operator, ast.In):
            point = self._point("identity")
            test.left = self._wrap(test.left, point, "identity")
            test.comparators[0] = self._wrap(right, point, "builtin")

    def _difference(self, test: ast.Compare) -> None:
        """``abs(a - b) < c``."""
        call, below = test.left, len(test.ops) == 1 and isinstance(test.ops[0], (ast.Lt, ast.LtE))
        if not below or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "abs":
            return
        inner = call.args[0] if len(call.args) == 1 else None
        allowed = comparisons.widened([comparisons.number_of(test.comparators[0])])
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub) and allowed is not None:
            self._expect([inner.right, inner.left], allowed)

    def _equal(self, test: ast.Compare, filled: bool) -> None:
        """Points at each side, or at the one to go by; ``filled`` where empty sides would compare nothing."""
        left, right = test.left, test.comparators[0]
        self._expect([right, left], None, filled)
        if any(last(node) == "ANY" for node in ast.walk(test) if isinstance(node, ast.expr)):
            return
        known = [side for side in (left, right) if _constant(side) or comparisons.is_approx(side)]
        for changed in known[-1:] or [left, right]:
            point = self._point("value")
            if left is changed or filled:
                test.left = self._wrap(test.left, point, "value" if left is changed else "filled")
            if right is changed or filled:
                wrapped = self._wrap(test.comparators[0], point, "value" if right is changed else "filled")
                test.comparators[0] = wrapped

    def _close(self, call: ast.Call) -> None:
        """A call that compares its first argument with its second, within what the others allow."""
        how = comparisons.comparison(call)
        if how is None:
            return
        if how.allows is not None:
            slack = None if how.exact else how.allows
            self._expect([call.args[1], call.args[0]], slack, how.stretches)
        point = self._point("value")
        if not how.unittest:
            call.args[0] = self._wrap(call.args[0], point, "filled")
        call.args[1] = self._wrap(call.args[1], point, "close", [] if how.exact else how.slack)

    def _call(self, call: ast.Call) -> None:
        if isinstance(call.func, ast.Name) and call.func.id in self._functions:
            function = self._functions.pop(call.func.id)
            self._bound |= certain_code.arguments(function, call)
            self._walk(function.body)
        elif comparisons.is_statement(call):
            self._close(call)

    def _block(self, block: ast.With) -> None:
        calls = [item.context_expr for item in block.items]
        names = [last(call.func) if isinstance(call, ast.Call) else "" for call in calls]
        if len(names) == 1 and names[0] in _RAISES:
            test = self._wrap(ast.Constant(True), self._point("raises"), "not")
            block.body = [ast.If(test=test, body=block.body, orelse=[])] if isinstance(test, ast.Call) else block.body
        elif all(name in _PLAIN_BLOCKS for name in names):
            self._walk(block.body)

    def _runs(self, loop: ast.For) -> bool:
        """Whether the loop's body runs from its first statement to its last at least once."""
        leaves_early = any(isinstance(node, (ast.Break, ast.Continue)) for node in ast.walk(loop))
        return not leaves_early and certain_code.filled(loop.iter, self._looped)

    def _expect(self, sides: list[ast.expr], slack: Slack | None, stretches: bool = False) -> None:
        """Note the constants of the first side that has some; ``stretches`` where a shorter list might do."""
        for side in sides:
            approx = comparisons.inside_approx(side)
            if comparisons.is_approx(side) and approx is None:
                continue
            value, allowed = approx if approx is not None else (side, slack)
            found = [leaf for part in self._stands_for(value) for leaf in self._constants(part, stretches)]
            self.leaves += [Leaf(self._check, node, allowed, among) for node, among in found]
            if found:
                return

    def _constants(self, value: ast.expr, stretches: bool) -> list[tuple[ast.Constant, tuple[object, ...]]]:
        value = comparisons.inside_array(value)
        if stretches and not (isinstance(value, (ast.List, ast.Tuple)) and len(value.elts) > 1):
            return []
        return leaves(value)

    def _stands_for(self, value: ast.expr) -> list[ast.expr]:
        """The expressions, written out in the cell, that a name used only once has as its value."""
        if self.tree is None or not isinstance(value, ast.Name) or not certain_code.used_once(self.tree, value.id):
            return [value]
        if value.id in self._bound:
            return [part for item in self._bound.pop(value.id) for part in self._stands_for(item)]
        return [certain_code.written_out(value, self.tree)]

    def _point(self, kind: str) -> int:
        self.points.append(Point(self._check, kind))
        return len(self.points) - 1

    def _wrap(self, value: ast.expr, point: int, kind: str, slack: list[ast.expr] | None = None) -> ast.expr:
        """The expression in a call of the switch, where the point has one."""
        if point not in self.keys:
            return value
        self.keys[point].append(ast.Constant(0))
        return self._switch.call(value, self.keys[point][-1], kind, slack or [])


def _constant(side: ast.expr) -> bool:
    try:
        ast.literal_eval(side)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True
