"""The code of the live-coding question on the CORAL loss: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""Distance between the covariances of two batches of features (Sun & Saenko, 2016).

    Args:
        source: features, float, shape (N, D), N at least 1; not modified. They may lie far from the origin.
        target: features, float, shape (M, D), M at least 1; not modified. M may differ from N, and D may be 1.

    Returns:
        A scalar: the squared Frobenius norm of the difference of the two covariance matrices, divided by 4 D². A
        covariance is that of the batch itself, around its own mean, with divisor N - 1 (M - 1); a batch of a single
        row has covariance zero.{more}
    """'''
GRADIENT = " Gradients flow to both batches."

NUMPY = f"""
import numpy as np


def coral_loss(source: np.ndarray, target: np.ndarray) -> float:
    {DOCSTRING.format(more="")}
    covariances = []
    for x in (source, target):
        centred = x - x.mean(axis=0)
        covariances.append(centred.T @ centred / max(len(x) - 1, 1))  # (D, D)
    gap = covariances[0] - covariances[1]
    return (gap**2).sum() / (4 * len(gap) ** 2)
"""

NUMPY_COV = """
import numpy as np


def coral_loss(source, target):
    def covariance(x):
        return np.cov(x, rowvar=False) if len(x) > 1 else np.zeros((x.shape[1], x.shape[1]))

    d = source.shape[1]
    return float(np.sum(np.square(covariance(source) - covariance(target)))) / 4 / d / d
"""

NUMPY_LOOP = """
import numpy as np


def coral_loss(source, target):
    d, total = source.shape[1], 0.0
    s, t = (x.astype(float) - np.average(x.astype(float), axis=0) for x in (source, target))
    for i in range(d):
        for j in range(d):
            gap = s[:, i].dot(s[:, j]) / max(1, len(s) - 1) - t[:, i].dot(t[:, j]) / max(1, len(t) - 1)
            total += (gap / (2 * d)) ** 2
    return total
"""

PYTORCH = f"""
import torch


def coral_loss(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    {DOCSTRING.format(more=GRADIENT)}
    covariances = []
    for x in (source, target):
        centred = x - x.mean(dim=0)
        covariances.append(centred.T @ centred / max(len(x) - 1, 1))  # (D, D)
    gap = covariances[0] - covariances[1]
    return (gap**2).sum() / (4 * len(gap) ** 2)
"""

PYTORCH_COV = """
import torch


def coral_loss(source, target):
    d = source.shape[1]
    cs, ct = (torch.cov(x.mT, correction=min(1, len(x) - 1)).reshape(d, d) for x in (source, target))
    return torch.linalg.matrix_norm(cs - ct).square() / (2 * d) ** 2 if not torch.equal(cs, ct) else (cs - ct).sum()
"""

PYTORCH_EINSUM = """
import torch
from torch.nn import functional


def coral_loss(source, target):
    parts = []
    for x in (source, target):
        deviations = x - torch.mean(x, 0, keepdim=True)
        parts.append(torch.einsum("ni,nj->ij", deviations, deviations) * (1 / max(x.shape[0] - 1, 1)))
    return functional.mse_loss(*parts) / 4
"""

MESSAGES = {
    "not-centred": _("the mean is not taken off: these are second moments, and a mere shift of the features costs"),
    "cancels": _(
        "the mean's products are subtracted after squaring: far from the origin the digits that matter cancel"
    ),
    "divides-by-n": _("the divisor is the batch size: for small batches the covariance comes out too small"),
    "no-guard": _("a batch of one row divides zero by zero"),
    "not-squared": _("this is the Frobenius norm itself; its square is wanted, which has the simpler gradient"),
    "no-four": _("the factor 1/4 is missing"),
    "one-d": _("it is divided by D once; there are D times D entries"),
    "correlation": _("these are correlations: differences in scale between source and target go unnoticed"),
    "variances-only": _("only the diagonals are compared: how features vary together is left out"),
    "pooled-mean": _("both batches are centred at their common mean: then a shift between them counts as well"),
    "means-too": _("the means are compared too; CORAL aligns second-order statistics only"),
    "absolute": _("absolute differences are added up; the Frobenius norm takes squares"),
    "source-detached": _("no gradient reaches the source batch: the loss should move both towards each other"),
    "in-place": _("the caller's features are overwritten"),
}
DIVISOR, SQUARES, MEAN = "max(len(x) - 1, 1)", "(gap**2).sum()", "x - x.mean(axis=0)"


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    numpy = framework == "numpy"
    mean = MEAN if numpy else MEAN.replace("axis", "dim")
    both = mean.replace("x.mean", "np.vstack([source, target]).mean" if numpy else "torch.cat([source, target]).mean")
    product = f"centred.T @ centred / {DIVISOR}"
    outer = "np.outer(x.mean(0), x.mean(0))" if numpy else "torch.outer(x.mean(0), x.mean(0))"
    sizes = "((centred**2).sum(0) ** 0.5)"
    edits = {
        "not-centred": ((mean, "x"),),
        "cancels": ((product, f"(x.T @ x - len(x) * {outer}) / {DIVISOR}"),),
        "divides-by-n": ((DIVISOR, "len(x)"),),
        "no-guard": ((DIVISOR, "np.float64(len(x) - 1)" if numpy else "torch.tensor(len(x) - 1.0)"),),
        "not-squared": ((SQUARES, f"{SQUARES} ** 0.5"),),
        "no-four": (("(4 * len(gap) ** 2)", "len(gap) ** 2"),),
        "one-d": (("(4 * len(gap) ** 2)", "(4 * len(gap))"),),
        "correlation": ((product, f"centred.T @ centred / ({sizes}[:, None] * {sizes} + 1e-12)"),),
        "variances-only": ((SQUARES, "(gap.diagonal() ** 2).sum()"),),
        "pooled-mean": ((mean, both),),
        "means-too": ((f"{SQUARES} /", f"({SQUARES} + ((source.mean(0) - target.mean(0)) ** 2).sum()) /"),),
        "absolute": ((SQUARES, "abs(gap).sum()"),),
    }
    if numpy:
        edits["in-place"] = ((f"centred = {mean}", "centred = x\n        centred -= x.mean(axis=0)"),)
    else:
        edits["source-detached"] = (("(source, target):", "(source.detach(), target):"),)
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
