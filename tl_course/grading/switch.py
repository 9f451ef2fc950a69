"""A function that a test cell may be given: it hands back a value, or another one that no right answer matches.

Which of the two, a number at each call says. The function's text is the same in all copies of a cell.
"""

import ast
import random

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHIFTS = (37, 41, 43, 47, 53, 59, 67, 71, 73, 79, 83, 89)  # primes: equal modulo none of the usual numbers

_HELPER = """
def NAME(value, key, kind="value", *slack):
    if key * FACTOR % MODULUS >= MIDDLE:
        return value
    import math, sys
    def empty(item):
        if hasattr(item, "numel"):
            return item.numel() == 0
        if hasattr(item, "shape"):
            return 0 in tuple(item.shape)
        return hasattr(item, "__len__") and len(item) == 0
    def far(largest):
        return SHIFT.37 * 4 * (1 + largest)
    def further(largest):
        return SHIFT * 4 * (1 + int(largest)) if tolerant else SHIFT
    def changed(item):
        if item is True or item is False:
            return not item
        if item is None:
            return SHIFT
        if type(item) is int:
            return item + further(abs(item))
        if type(item) in (float, complex):
            moved = item + far(abs(item))
            return moved if moved - moved == 0 and moved != item else type(item)(0 if item else SHIFT)
        if isinstance(item, str):
            return str(item) + "TOKEN"
        if isinstance(item, bytes):
            return bytes(item) + b"TOKEN"
        if type(item) in (list, tuple):
            parts = list(item)
            if parts:
                parts[key % len(parts)] = changed(parts[key % len(parts)])
            return type(item)(parts or ["TOKEN"])
        if isinstance(item, dict) and type(item).__module__ in ("builtins", "collections"):
            parts = item.copy()
            name = list(item)[key % len(item)] if item else "TOKEN"
            parts[name] = changed(item[name]) if item else SHIFT
            return parts
        if type(item) in (set, frozenset):
            return item | {"TOKEN"}
        if empty(item):
            raise ValueError("nothing to change")
        package = type(item).__module__.partition(".")[0]
        if package == "numpy" and hasattr(item, "dtype") and item.dtype.kind in "biufc":
            return array(sys.modules["numpy"], item)
        if package == "torch" and hasattr(item, "numel"):
            return tensor(sys.modules["torch"], item.detach())
        return object()
    def array(np, item):
        if item.dtype.kind == "b":
            return ~item
        if item.dtype.kind in "iu":
            return item.astype("int64") + further(abs(item.astype("int64")).max())
        finite = np.where(np.isfinite(item), item, 0)
        moved = (finite + far(float(abs(finite).max()))).astype(item.dtype)
        return np.where(np.isfinite(item), moved, 0)[()]
    def tensor(torch, item):
        if item.dtype == torch.bool:
            return ~item
        if not item.is_floating_point():
            return item.to(torch.int64) + further(item.to(torch.int64).abs().max())
        finite = torch.where(torch.isfinite(item), item, torch.zeros_like(item))
        moved = (finite + far(float(finite.abs().max()))).to(item.dtype)
        return torch.where(torch.isfinite(item), moved, torch.zeros_like(item))
    tolerant = kind == "close"
    if any(not 0 <= part <= 0.5 for part in slack):
        raise ValueError("a tolerance too wide")
    if kind == "not":
        return not value
    if kind == "identity":
        return object()
    if kind == "filled" and not empty(value):
        return value
    if kind == "builtin" and type(value) in (list, tuple, set, frozenset, dict, str, range):
        return value
    if kind == "order" and type(value) in (int, float):
        return math.nan
    if kind in ("value", "close"):
        return changed(value)
    raise ValueError("nothing to change")
"""


class Switch:
    """The function of one cell: its name and the rule for its numbers."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._name = "_" + "".join(rng.choices(_LETTERS, k=8))
        self._modulus = rng.choice((7919, 8101, 8237, 8369, 8513))
        self._factor = rng.randrange(100, 7000)

    def call(self, value: ast.expr, key: ast.Constant, kind: str, slack: list[ast.expr]) -> ast.Call:
        """A call of the function in place of an expression."""
        function = ast.Name(self._name, ast.Load())
        return ast.Call(func=function, args=[value, key, ast.Constant(kind), *slack], keywords=[])

    def number(self, on: bool) -> int:
        """A number that makes the function change its value, or not."""
        while True:
            number = self._rng.randrange(10_000, 100_000)
            if (number * self._factor % self._modulus < self._modulus // 2) == on:
                return number

    def define(self, tree: ast.Module) -> None:
        """Put the function first in a cell; as one string, which IPython has little work with."""
        text = _HELPER.replace("NAME", self._name).replace("FACTOR", str(self._factor))
        text = text.replace("MODULUS", str(self._modulus)).replace("MIDDLE", str(self._modulus // 2))
        text = text.replace("SHIFT", str(self._rng.choice(_SHIFTS)))
        text = text.replace("TOKEN", "".join(self._rng.choices(_LETTERS, k=12)))
        start = max((place + 1 for place, statement in enumerate(tree.body) if _future(statement)), default=0)
        tree.body[start:start] = ast.parse(f"__import__('builtins').exec({text!r})").body


def _future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
