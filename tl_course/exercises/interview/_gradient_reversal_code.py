"""The code of the live-coding question on gradient reversal: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""The gradient reversal layer (Ganin & Lempitsky, 2015).

    Args:
        x: features, float, any shape; not modified. They may come without a gradient to work out, as in evaluation.
        strength: lambda >= 0. It differs from call to call, also between two calls within one loss.

    Returns:
        The values of x bit for bit, the same shape. In the backward pass, the gradient that arrives at the result is
        handed on to x multiplied by -strength. Nothing else changes: what comes after the layer gets its ordinary
        gradient.{more}
    """'''

PYTORCH = f"""
import torch


def reverse_gradient(x: torch.Tensor, strength: float) -> torch.Tensor:
    {DOCSTRING.format(more="")}

    class Reversal(torch.autograd.Function):
        @staticmethod
        def forward(ctx, features):
            return features.clone()

        @staticmethod
        def backward(ctx, gradient):
            return -strength * gradient

    return Reversal.apply(x)
"""

PYTORCH_DETACH = """
import torch


def reverse_gradient(x, strength):
    turned = -strength * x
    return x.detach() + (turned - turned.detach())
"""

PYTORCH_HOOK = """
import torch


def reverse_gradient(x, strength):
    out = x.view_as(x)
    if out.requires_grad:
        out.register_hook(lambda gradient: gradient.neg() * strength)
    return out
"""

KERAS = f"""
from keras import ops


def reverse_gradient(x, strength: float):
    {DOCSTRING.format(more=" It works in compiled code too (tf.function).")}

    def reversal(features):
        def backward(gradient):
            return -strength * gradient

        return ops.copy(features), backward

    return ops.custom_gradient(reversal)(x)
"""

KERAS_STOP = """
from keras import ops


def reverse_gradient(x, strength):
    turned = ops.negative(x) * strength
    return ops.stop_gradient(x) + (turned - ops.stop_gradient(turned))
"""

KERAS_TENSORFLOW = """
import tensorflow as tf


@tf.custom_gradient
def _reverse(x, strength):
    return tf.identity(x), lambda upstream: (tf.negative(strength * upstream), None)


def reverse_gradient(x, strength):
    return _reverse(x, tf.constant(strength, x.dtype))
"""

NOT_REVERSED = _("the gradient is scaled but not turned round: features would be trained to tell the domains apart")
NO_STRENGTH = _("the gradient is turned round, but its strength is always 1")
FORWARD_TURNED = _("the forward pass is turned round as well: the layers after it see other features than there are")
CUT = _("no gradient reaches the features at all: they would not learn anything from the domains")
IDENTITY = _("nothing is turned round: the gradient passes as it came")
DIVIDED = _("the gradient is divided by the strength, so at the start of the schedule it is largest, or infinite")
SHARED = _("the strength is kept in one place for all calls: the last call decides for those before it")
SIGN_ONLY = _("only the gradient's sign is handed on: its size is lost")
SQUARED = _("the strength acts twice")
ROUNDS = _("the forward pass goes through a multiplication and back: the values come out rounded, not bit for bit")

TORCH_SHARED = """
import torch


class Reversal(torch.autograd.Function):
    strength = 1.0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -Reversal.strength * gradient


def reverse_gradient(x, strength):
    Reversal.strength = strength
    return Reversal.apply(x)
"""
KERAS_SHARED = """
from keras import ops

STATE = {}


def reverse_gradient(x, strength):
    STATE["strength"] = strength

    @ops.custom_gradient
    def reversal(features):
        return ops.copy(features), lambda gradient: -STATE["strength"] * gradient

    return reversal(x)
"""
BACKWARD = "return -strength * gradient"
EDITS = {
    "not-reversed": (NOT_REVERSED, "return strength * gradient"),
    "no-strength": (NO_STRENGTH, "return -gradient"),
    "identity": (IDENTITY, "return gradient"),
    "cut": (CUT, "return 0 * gradient"),
    "divided": (DIVIDED, "return -gradient / max(strength, 1e-9)"),
    "squared": (SQUARED, "return -(strength**2) * gradient"),
}
TORCH_ROUNDS = """
def reverse_gradient(x, strength):
    return (1 + strength) * x.detach() - strength * x
"""
KERAS_ROUNDS = """
from keras import ops


def reverse_gradient(x, strength):
    return (1 + strength) * ops.stop_gradient(x) - strength * x
"""


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference, and whole wrong answers."""
    torch = framework == "pytorch"
    copied, returned = (
        ("features.clone()", "return Reversal.apply(x)")
        if torch
        else ("ops.copy(features)", "return ops.custom_gradient(reversal)(x)")
    )
    sign, stopped = ("gradient.sign()", "x.detach()") if torch else ("ops.sign(gradient)", "ops.stop_gradient(x)")
    return {
        **{name: Mistake(message, ((BACKWARD, code),)) for name, (message, code) in EDITS.items()},
        "sign-only": Mistake(SIGN_ONLY, ((BACKWARD, f"return -strength * {sign}"),)),
        "forward-turned": Mistake(FORWARD_TURNED, ((copied, "-strength * features"),)),
        "detached": Mistake(CUT, ((returned, f"return -strength * {stopped}"),)),
        "shared": Mistake(SHARED, source=TORCH_SHARED if torch else KERAS_SHARED),
        "rounds": Mistake(ROUNDS, source=TORCH_ROUNDS if torch else KERAS_ROUNDS),
    }
