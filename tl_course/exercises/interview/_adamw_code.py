"""The code of the question on AdamW: reference, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def adamw_step(
    parameter: np.ndarray,
    gradient: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    step: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step of AdamW (Loshchilov and Hutter, 2019) as torch.optim.AdamW does it. No argument is modified.

    Args:
        parameter: float, any shape; the other three arrays have the same.
        gradient: the loss's gradient.
        first: running mean of the gradients, zeros before the first step, stored without bias correction.
        second: running mean of the squared gradients, likewise.
        step: the number of this step: 1 for the first.
        lr: learning rate; the decay is multiplied by it too.
        betas: decay rates of the two running means.
        eps: is added to the root of the corrected second mean.
        weight_decay: acts on the parameter as it comes, apart from the gradient.

    Returns:
        The new parameter, first and second running mean.
    """
    first = betas[0] * first + (1 - betas[0]) * gradient
    second = betas[1] * second + (1 - betas[1]) * gradient**2
    mean = first / (1 - betas[0] ** step)
    scale = np.sqrt(second / (1 - betas[1] ** step)) + eps
    return parameter * (1 - lr * weight_decay) - lr * mean / scale, first, second
'''

LERP = """
import numpy as np


def adamw_step(parameter, gradient, first, second, step, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    new_first = first + (1 - betas[0]) * (gradient - first)
    new_second = second + (1 - betas[1]) * (np.square(gradient) - second)
    root = np.sqrt(1 - np.power(betas[1], step))
    change = lr * root / (1 - np.power(betas[0], step)) * new_first / (np.sqrt(new_second) + eps * root)
    return parameter - change - lr * weight_decay * parameter, new_first, new_second
"""

ELEMENTS = """
import math

import numpy as np


def adamw_step(parameter, gradient, first, second, step, lr=0.001, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    results = [np.array(array, dtype=float) for array in (parameter, first, second)]
    corrections = [1 - math.pow(beta, step) for beta in betas]
    for where, g in np.ndenumerate(gradient):
        p, m, v = (float(array[where]) for array in results)
        m = betas[0] * m + g - betas[0] * g
        v = betas[1] * v + g * g - betas[1] * g * g
        direction = m / corrections[0] / (math.sqrt(v / corrections[1]) + eps)
        for array, value in zip(results, (p - lr * (direction + weight_decay * p), m, v)):
            array[where] = value
    return tuple(results)
"""

MEAN, SCALE = "first / (1 - betas[0] ** step)", "np.sqrt(second / (1 - betas[1] ** step)) + eps"
DECAYED, RESULT = "parameter * (1 - lr * weight_decay)", "lr * mean / scale, first, second"
FIRST_LINE = "    first = betas[0] * first + (1 - betas[0]) * gradient\n"
MISTAKES = {
    "coupled": Mistake(
        _(
            "the decay is added to the gradient, as in Adam with L2: it is then divided by the gradient's size and "
            "weights with large gradients hardly decay"
        ),
        ((FIRST_LINE, f"    gradient = gradient + weight_decay * parameter\n{FIRST_LINE}"), (DECAYED, "parameter")),
    ),
    "decay-without-rate": Mistake(
        _("the decay is not multiplied by the learning rate"), ((DECAYED, "parameter * (1 - weight_decay)"),)
    ),
    "decays-after": Mistake(
        _("the decay acts on the parameter that the step has already moved, and shrinks the step with it"),
        ((DECAYED, "(parameter"), (RESULT, "lr * mean / scale) * (1 - lr * weight_decay), first, second")),
    ),
    "no-decay": Mistake(_("the parameter does not decay"), ((DECAYED, "parameter"),)),
    "no-correction": Mistake(
        _("the running means start at zero and are used as they are: the first steps have the wrong size"),
        ((MEAN, "first"), (SCALE, "np.sqrt(second) + eps")),
    ),
    "counts-from-zero": Mistake(
        _("the bias correction takes the step before for this one: the first divides by zero"),
        (
            (MEAN, "first / (1 - betas[0] ** (step - 1))"),
            (SCALE, "np.sqrt(second / (1 - betas[1] ** (step - 1))) + eps"),
        ),
    ),
    "stores-corrected": Mistake(
        _("the corrected means are handed back as the state, and are corrected again at the next step"),
        ((RESULT, "lr * mean / scale, mean, (scale - eps) ** 2"),),
    ),
    "eps-inside": Mistake(
        _("eps stands under the root, where it counts as its own root: for small gradients the step is too small"),
        ((SCALE, "np.sqrt(second / (1 - betas[1] ** step) + eps)"),),
    ),
    "eps-uncorrected": Mistake(
        _("eps is added before the second mean is corrected, so its effect shrinks or grows with the step"),
        ((SCALE, "(np.sqrt(second) + eps) / np.sqrt(1 - betas[1] ** step)"),),
    ),
    "betas-swapped": Mistake(
        _("the two decay rates have changed places"),
        ((FIRST_LINE, f"    betas = betas[1], betas[0]\n{FIRST_LINE}"),),
    ),
    "not-squared": Mistake(
        _("the second mean averages the gradients' sizes, not their squares"), (("gradient**2", "np.abs(gradient)"),)
    ),
    "in-place": Mistake(
        _("the caller's state is overwritten"),
        ((FIRST_LINE, "    first *= betas[0]\n    first += (1 - betas[0]) * gradient\n"),),
    ),
}
