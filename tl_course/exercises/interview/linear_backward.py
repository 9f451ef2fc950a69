"""The backward pass of a linear layer, for inputs of any leading shape."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def linear_backward(
    x: np.ndarray, weight: np.ndarray, grad_output: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of a linear layer y = x @ weight.T + bias.

    Args:
        x: what the layer was given, float, shape (..., I): any number of leading axes, none included; an axis may have
            length 0.
        weight: float, shape (O, I).
        grad_output: gradient of a scalar loss with respect to y, shape (..., O), the leading axes as those of x.

    Returns:
        The loss's gradients with respect to x, the weight and the bias, each of the shape of that array. The arguments
        are not modified.
    """
    rows = x.reshape(-1, weight.shape[1])
    grad_rows = grad_output.reshape(-1, weight.shape[0])
    return grad_output @ weight, grad_rows.T @ rows, grad_rows.sum(axis=0)
'''

TENSORDOT = """
import numpy as np


def linear_backward(x, weight, grad_output):
    leading = tuple(range(x.ndim - 1))
    grad_weight = np.tensordot(grad_output, x, axes=(leading, leading))
    return np.dot(grad_output, weight), grad_weight, grad_output.sum(axis=leading)
"""

LOOP = """
import numpy as np


def linear_backward(x, weight, grad_output):
    grad_x, grad_weight, grad_bias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(len(weight))
    for where in np.ndindex(x.shape[:-1]):
        grad_x[where] = weight.T @ grad_output[where]
        grad_weight += np.outer(grad_output[where], x[where])
        grad_bias += grad_output[where]
    return grad_x, grad_weight, grad_bias
"""

X, W, B = "grad_output @ weight", "grad_rows.T @ rows", "grad_rows.sum(axis=0)"
ROWS, GRAD_ROWS = "x.reshape(-1, weight.shape[1])", "grad_output.reshape(-1, weight.shape[0])"
MISTAKES = {
    "weight-transposed": Mistake(
        _("the weight's gradient has inputs and outputs the wrong way round: it must have the weight's own shape"),
        ((W, "rows.T @ grad_rows"),),
    ),
    "averaged": Mistake(
        _("the parameters' gradients are averaged over the rows; averaging, if any, is already in grad_output"),
        ((W, f"{W} / len(rows)"), (B, "grad_rows.mean(axis=0)")),
    ),
    "matrix-only": Mistake(
        _("the parameters' gradients are right for a matrix only: other leading shapes fail or are not summed over"),
        ((ROWS, "x"), (GRAD_ROWS, "grad_output")),
    ),
    "bias-first-axis": Mistake(
        _("the bias's gradient sums over the first axis only; every leading axis has used the same bias"),
        ((B, "grad_output.sum(axis=0)"),),
    ),
    "mixed-rows": Mistake(
        _("bringing the input to two axes mixes the features of different rows: the last axis has to stay whole"),
        ((ROWS, "x.reshape(weight.shape[1], -1).T"),),
    ),
    "upstream-forgotten": Mistake(
        _("the incoming gradient is left out of the parameters' gradients: the chain rule needs it as a factor"),
        ((GRAD_ROWS, "np.ones_like(grad_output).reshape(-1, weight.shape[0])"),),
    ),
    "flattened": Mistake(
        _("the input's gradient comes back as a matrix and has lost the leading axes"), ((X, "grad_rows @ weight"),)
    ),
    "bias-not-summed": Mistake(
        _("the bias's gradient still has a row for each input row, though all rows share one bias"),
        ((B, "grad_rows"),),
    ),
    "in-place": Mistake(
        _("the incoming gradient is overwritten, though other layers may still need it"),
        (
            (f"return {X}", f"grad_x = {X}\n    grad_output *= 0\n    return grad_x"),
            (W, "0 + weight_grad"),
            (B, "bias_grad"),
            (GRAD_ROWS, f"{GRAD_ROWS}.copy()\n    weight_grad, bias_grad = {W}, {B}"),
        ),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Rows in a matrix, tokens of several texts, square blocks, a single vector, and nothing at all."""
    shapes = {"matrix": (5,), "texts": (2, 6), "square": (3, 3, 3), "vector": (), "empty": (4, 0)}
    found = []
    for name, leading in shapes.items():
        width, outputs = (3, 3) if name == "square" else (3, 4)
        inputs = {
            "x": rng.normal(size=(*leading, width)),
            "weight": rng.normal(size=(outputs, width)),
            "grad_output": rng.normal(size=(*leading, outputs)),
        }
        criteria = ("input", "weight", "bias") if name == "matrix" else ("leading",)
        found.append(Case(name, inputs, (*criteria, "untouched")))
    return found


def expected(x: np.ndarray, weight: np.ndarray, grad_output: np.ndarray) -> list[np.ndarray]:
    """The loss is linear in each array, so its gradient is the change that 1 more in each entry makes."""

    def loss(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
        return float((grad_output * (x @ weight.T + bias)).sum())

    point = [x, weight, np.zeros(len(weight))]
    gradients = []
    for place, array in enumerate(point):
        gradient = np.zeros(array.shape)
        for where in np.ndindex(array.shape):
            more = [np.array(each) for each in point]
            more[place][where] += 1
            gradient[where] = loss(*more) - loss(*point)
        gradients.append(gradient)
    return gradients


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the three gradients."""
    names = ("input", "weight", "bias") if case.name == "matrix" else ("leading",) * 3
    things = (_("the input's gradient"), _("the weight's gradient"), _("the bias's gradient"))
    suffix = "" if case.name == "matrix" else _(", x of shape {shape}").format(shape=case.inputs["x"].shape)
    found = [
        close(name, yours, right, thing + suffix)
        for name, yours, right, thing in zip(names, observed["gradients"], expected(**case.inputs), things, strict=True)
    ]
    kept = holds("untouched", observed["kept"], _("the arrays you were given had other values afterwards"))
    return [*found, kept]


def probe(candidate, inputs):
    """The three gradients, and whether the inputs stayed as they were."""
    gradients, kept = _watch.call(candidate, inputs["x"], inputs["weight"], inputs["grad_output"])
    return {"gradients": [as_array(gradient) for gradient in gradients], "kept": kept}


EXERCISE = Exercise(
    id="linear-backward",
    title=_("A linear layer, backwards"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A linear layer computes y = x @ weight.T + bias, with weight (O, I) and x of shape (..., I): any number of "
        "leading axes, none included, and they may be empty. Given x, the weight and the gradient of the loss with "
        "respect to y, (..., O), write `linear_backward`: return the gradients with respect to x, weight and bias, in "
        "this order, each of its array's shape. Leave the arguments unchanged."
    ),
    hints=(
        _("Each gradient has the shape of what it belongs to. Which products of your arrays have these shapes?"),
        _("Weight and bias are used once for every row, whatever axes the rows lie in: their gradients are sums."),
        _("Bring x and grad_output to two axes with the last one whole, then one product gives the weight's gradient."),
    ),
    follow_ups=(
        FollowUp(
            _("The weight is frozen and the layer lies in the middle of a network. What need not be computed or kept?"),
            _(
                "The weight's gradient, and with it the input x, which only that gradient needs: memory falls. The "
                "input's gradient is still needed as long as something below trains; it takes the weight only."
            ),
        ),
        FollowUp(
            _("How much does the backward pass cost compared with the forward pass?"),
            _(
                "About twice: the forward pass is one matrix product of R rows, I inputs and O outputs, the backward "
                "pass has two of the same size. Hence the rule of thumb of six operations per parameter and token in "
                "training, two forward and four backward."
            ),
        ),
        FollowUp(
            _("How would you test such a function without a framework?"),
            _(
                "With central differences in float64: change one entry by a small step both ways, compare the loss's "
                "change with the gradient, for random arrays whose dimensions all differ. A few random directions do "
                "for large arrays."
            ),
        ),
    ),
    complexity=_(
        "With R rows in all: O(R·I·O) time, twice the forward pass; O(R·I + I·O) memory for the results, "
        "none beyond them."
    ),
    criteria={
        "input": Criterion(_("gives the gradient with respect to the input")),
        "weight": Criterion(_("gives the gradient with respect to the weight"), weight=1.5),
        "bias": Criterion(_("gives the gradient with respect to the bias")),
        "leading": Criterion(_("works for every leading shape, none and empty ones included"), weight=1.5),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("input", "weight", "bias")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"tensordot": TENSORDOT, "loop": LOOP},
            mistakes=MISTAKES,
            equivalent=dict.fromkeys(
                (
                    "rows = x.reshape(-2, weight.shape[1])",
                    "grad_rows = grad_output.reshape(-2, weight.shape[0])",
                ),
                "NumPy takes any negative length as the one to be worked out",
            ),
        ),
    },
)
