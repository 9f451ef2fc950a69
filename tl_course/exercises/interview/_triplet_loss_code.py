"""The code of the live-coding question on the triplet loss: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""Batch-hard triplet loss (Hermans et al., 2017).

    Args:
        embeddings: float, shape (N, D), N at least 1; not modified. They may lie far from the origin, and two of them
            may coincide.
        labels: integers, shape (N,).
        margin: above 0.

    Returns:
        A scalar. Every example is an anchor once. Its loss is the margin, plus its Euclidean distance (not squared) to
        the farthest other example of its label, less its distance to the nearest example of another label; at least 0.
        Anchors without another example of their label, or without one of another label, are left out; the result is
        the mean over the rest, losses of 0 included, and 0 where no anchor is left.{more}
    """'''
GRADIENT = "\n        Gradients flow to the embeddings and are finite, also where two of them coincide."

NUMPY = f"""
import numpy as np


def triplet_loss(embeddings: np.ndarray, labels: np.ndarray, margin: float) -> float:
    {DOCSTRING.format(more="")}
    distances = np.sqrt(((embeddings[:, None] - embeddings) ** 2).sum(axis=2))  # (N, N)
    same = labels[:, None] == labels
    positive = same & ~np.eye(len(labels), dtype=bool)
    farthest = np.where(positive, distances, 0).max(axis=1)  # (N,)
    nearest = np.where(same, np.inf, distances).min(axis=1)
    counted = positive.any(axis=1) & ~same.all()
    losses = np.maximum(margin + farthest[counted] - nearest[counted], 0)
    return losses.sum() / max(counted.sum(), 1)
"""

NUMPY_LOOP = """
import numpy as np


def triplet_loss(embeddings, labels, margin):
    losses = []
    for i, anchor in enumerate(embeddings):
        distances = np.linalg.norm(embeddings - anchor, axis=1)
        others = np.arange(len(labels)) != i
        positives, negatives = distances[(labels == labels[i]) & others], distances[labels != labels[i]]
        if positives.size and negatives.size:
            losses.append(max(0.0, positives.max() - negatives.min() + margin))
    return float(np.mean(losses)) if losses else 0.0
"""

NUMPY_MASKED = """
import numpy as np


def triplet_loss(embeddings, labels, margin):
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    squares = (centred**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * centred @ centred.T, 0))
    np.fill_diagonal(distances, 0)
    same = np.equal.outer(labels, labels)
    nearest = np.ma.array(distances, mask=same).min(axis=1)
    others = np.array(same)
    np.fill_diagonal(others, False)
    farthest = np.ma.array(distances, mask=~others).max(axis=1)
    losses = np.ma.clip(farthest - nearest + margin, 0, None)
    return 0.0 if losses.count() == 0 else float(losses.mean())
"""

PYTORCH = f"""
import torch


def triplet_loss(embeddings: torch.Tensor, labels: torch.Tensor, margin: float) -> torch.Tensor:
    {DOCSTRING.format(more=GRADIENT)}
    distances = torch.linalg.vector_norm(embeddings[:, None] - embeddings, dim=2)  # (N, N)
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool)
    farthest = distances.masked_fill(~positive, 0).amax(dim=1)  # (N,)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    counted = positive.any(dim=1) & ~same.all()
    losses = torch.relu(margin + farthest[counted] - nearest[counted])
    return losses.sum() / counted.sum().clamp(min=1)
"""

PYTORCH_LOOP = """
import torch
from torch.nn import functional


def triplet_loss(embeddings, labels, margin):
    losses = []
    for i in range(len(labels)):
        distances = torch.cdist(embeddings[i : i + 1], embeddings)[0]
        others = torch.arange(len(labels)) != i
        positives, negatives = distances[(labels == labels[i]) & others], distances[labels != labels[i]]
        if len(positives) and len(negatives):
            losses.append(functional.relu(positives.max() - negatives.min() + margin))
    return torch.stack(losses).mean() if losses else embeddings.sum() * 0
"""

PYTORCH_PICKED = """
import torch
from torch import nn


def triplet_loss(embeddings, labels, margin):
    with torch.no_grad():
        distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
        same = labels.unsqueeze(0).eq(labels.unsqueeze(1))
        other = same.clone().fill_diagonal_(False)
        positive = torch.where(other, distances, -1.0).argmax(1)
        negative = torch.where(same, torch.inf, distances).argmin(1)
        anchors = torch.nonzero(other.any(1) & (~same).any(1))[:, 0]
    if anchors.numel() == 0:
        return torch.zeros((), requires_grad=True)
    a, p, n = embeddings[anchors], embeddings[positive[anchors]], embeddings[negative[anchors]]
    near, far = (a - p).norm(dim=1), (a - n).norm(dim=1)
    return nn.functional.margin_ranking_loss(far, near, torch.ones_like(near), margin=margin)
"""

MESSAGES = {
    "squared": _("the distances are squared: the margin then means something else, and far pairs dominate"),
    "nearest-positive": _("the nearest example of the same label was taken: that is the easiest positive"),
    "farthest-negative": _("the farthest example of another label was taken: that is the easiest negative"),
    "no-hinge": _("losses below zero are kept, so anchors that are fine already outweigh those that are not"),
    "lonely-counted": _("an anchor was taken for its own positive: those without another of their label count too"),
    "over-all": _("the sum is divided by the number of examples, not of the anchors that have a loss"),
    "active-only": _("anchors whose loss is 0 are left out of the mean; the mean here includes them"),
    "summed": _("the losses are added up, so their size depends on the batch's"),
    "margin-sign": _("the margin has the wrong sign: a triplet that only just holds should still cost something"),
    "any-negative": _("the nearest example of any label was taken for the negative: that is the anchor itself"),
    "expanded": _(
        "squared distances come from the squared lengths less twice the dot product: far from the origin the digits "
        "that matter cancel"
    ),
    "no-guard": _("without a single anchor, zero is divided by zero"),
    "root-at-zero": _("the square root has an infinite slope at 0: embeddings that coincide make gradients NaN"),
}
_COMMON = {
    "margin-sign": (("margin + farthest", "farthest"), ("nearest[counted]", "nearest[counted] - margin")),
    "lonely-counted": (("counted = positive.any(", "counted = same.any("),),
}
NUMPY_EDITS = {
    **_COMMON,
    "squared": (
        (
            "np.sqrt(((embeddings[:, None] - embeddings) ** 2).sum(axis=2))",
            "((embeddings[:, None] - embeddings) ** 2).sum(axis=2)",
        ),
    ),
    "nearest-positive": (("np.where(positive, distances, 0).max(", "np.where(positive, distances, np.inf).min("),),
    "farthest-negative": (("np.where(same, np.inf, distances).min(", "np.where(same, 0, distances).max("),),
    "no-hinge": (
        (
            "np.maximum(margin + farthest[counted] - nearest[counted], 0)",
            "margin + farthest[counted] - nearest[counted]",
        ),
    ),
    "over-all": (("max(counted.sum(), 1)", "len(labels)"),),
    "active-only": (("max(counted.sum(), 1)", "max((losses > 0).sum(), 1)"),),
    "summed": ((" / max(counted.sum(), 1)", ""),),
    "any-negative": (("np.where(same, np.inf, distances)", "distances"),),
    "expanded": (
        (
            "((embeddings[:, None] - embeddings) ** 2).sum(axis=2)",
            "(embeddings**2).sum(1)[:, None] + (embeddings**2).sum(1) - 2 * embeddings @ embeddings.T",
        ),
    ),
    "no-guard": (("max(counted.sum(), 1)", "counted.sum()"),),
}
PYTORCH_EDITS = {
    **_COMMON,
    "squared": (("embeddings, dim=2)  # (N, N)", "embeddings, dim=2) ** 2"),),
    "nearest-positive": ((".masked_fill(~positive, 0).amax(", ".masked_fill(~positive, torch.inf).amin("),),
    "farthest-negative": ((".masked_fill(same, torch.inf).amin(", ".masked_fill(same, 0).amax("),),
    "no-hinge": (("torch.relu(margin", "(margin"),),
    "over-all": (("counted.sum().clamp(min=1)", "len(labels)"),),
    "active-only": (("counted.sum().clamp(min=1)", "(losses > 0).sum().clamp(min=1)"),),
    "summed": ((" / counted.sum().clamp(min=1)", ""),),
    "any-negative": ((".masked_fill(same, torch.inf)", ""),),
    "expanded": (
        (
            "torch.linalg.vector_norm(embeddings[:, None] - embeddings, dim=2)",
            "((embeddings**2).sum(1)[:, None] + (embeddings**2).sum(1) - 2 * embeddings @ embeddings.T)"
            ".clamp(min=1e-12).sqrt()",
        ),
    ),
    "no-guard": ((".clamp(min=1)", ""),),
    "root-at-zero": (
        (
            "torch.linalg.vector_norm(embeddings[:, None] - embeddings, dim=2)",
            "((embeddings[:, None] - embeddings) ** 2).sum(dim=2).sqrt()",
        ),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"numpy": NUMPY_EDITS, "pytorch": PYTORCH_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
