"""The code of the exercise on magnitude pruning: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def magnitude_masks(weights: list[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Masks that prune the smallest weights of a network, all layers together (Han et al., 2015).

    Args:
        weights: one array a layer, float, any shapes.
        sparsity: share of all weights to prune, 0 to 1; the int(sparsity * total) with the smallest magnitude go.

    Returns:
        One mask a layer, bool, of its weight's shape: True stays, False is pruned. Of weights with equal magnitudes
        any may go, but never more than asked for.
    """
    sizes = [np.abs(weight).ravel() for weight in weights]
    everything = np.concatenate(sizes)
    count = int(sparsity * len(everything))
    kept = np.ones(len(everything), dtype=bool)
    kept[np.argsort(everything)[:count]] = False
    parts = np.split(kept, np.cumsum([len(part) for part in sizes])[:-1])
    return [part.reshape(weight.shape) for part, weight in zip(parts, weights)]
'''

NUMPY_RANKED = """
def magnitude_masks(weights, sparsity):
    # a plain list of (magnitude, layer, index), sorted
    entries = sorted((abs(value), layer, i) for layer, w in enumerate(weights) for i, value in enumerate(w.flat))
    masks = [w == w for w in weights]
    for _, layer, i in entries[: int(sparsity * len(entries))]:
        masks[layer].flat[i] = False
    return masks
"""

NUMPY_LEFT = """
import numpy as np


def magnitude_masks(weights, sparsity):
    total = sum(w.size for w in weights)
    left = int(sparsity * total)
    if left == 0:
        return [np.full(w.shape, True) for w in weights]
    limit = np.partition(np.hstack([np.abs(w).flatten() for w in weights]), left - 1)[left - 1]
    masks = [np.abs(w) >= limit for w in weights]
    left -= sum(int((~m).sum()) for m in masks)  # those that tie at the limit share what is left
    for mask, w in zip(masks, weights):
        tied = np.argwhere(np.abs(w) == limit)[:left]
        left -= len(tied)
        mask[tuple(tied.T)] = False
    return masks
"""

PYTORCH = '''
import torch


def magnitude_masks(weights: list[torch.Tensor], sparsity: float) -> list[torch.Tensor]:
    """Masks that prune the smallest weights of a network, all layers together (Han et al., 2015).

    Args:
        weights: one tensor a layer, float, any shapes; they may be parameters.
        sparsity: share of all weights to prune, 0 to 1; the int(sparsity * total) with the smallest magnitude go.

    Returns:
        One mask a layer, bool, of its weight's shape: True stays, False is pruned. Of weights with equal magnitudes
        any may go, but never more than asked for.
    """
    sizes = [weight.abs().flatten() for weight in weights]
    everything = torch.cat(sizes)
    count = int(sparsity * len(everything))
    kept = torch.ones(len(everything), dtype=torch.bool)
    kept[torch.argsort(everything)[:count]] = False
    parts = torch.split(kept, [len(part) for part in sizes])
    return [part.reshape(weight.shape) for part, weight in zip(parts, weights)]
'''

PYTORCH_LIBRARY = """
import torch
from torch.nn.utils import prune


def magnitude_masks(weights, sparsity):
    method = prune.L1Unstructured(amount=int(sparsity * sum(w.numel() for w in weights)))
    with torch.no_grad():
        together = torch.nn.utils.parameters_to_vector([torch.clone(w) for w in weights])
        mask = method.compute_mask(together, torch.ones_like(together)).bool()
    masks, start = [], 0
    for w in weights:
        masks.append(mask[start : start + w.numel()].view_as(w))
        start += w.numel()
    return masks
"""

PYTORCH_TOPK = """
import torch


def magnitude_masks(weights, sparsity):
    masks = [torch.zeros_like(w, dtype=torch.bool) for w in weights]
    flat = torch.cat([w.detach().reshape(-1) for w in weights]) ** 2
    places = torch.cat([torch.full((w.numel(),), layer) for layer, w in enumerate(weights)])
    inside = torch.cat([torch.arange(w.numel()) for w in weights])
    best = flat.topk(len(flat) - int(sparsity * len(flat))).indices
    for layer, mask in enumerate(masks):
        mine = best[places[best] == layer]
        mask.view(-1)[inside[mine]] = True
    return masks
"""

KERAS = '''
import numpy as np
from keras import ops


def magnitude_masks(weights: list, sparsity: float) -> list:
    """Masks that prune the smallest weights of a network, all layers together (Han et al., 2015).

    Args:
        weights: one weight (keras.Variable) a layer, float, any shapes.
        sparsity: share of all weights to prune, 0 to 1; the int(sparsity * total) with the smallest magnitude go.

    Returns:
        One mask a layer, bool, of its weight's shape: True stays, False is pruned. Of weights with equal magnitudes
        any may go, but never more than asked for.
    """
    sizes = [ops.reshape(ops.abs(weight), (-1,)) for weight in weights]
    everything = ops.concatenate(sizes)
    count = int(sparsity * len(everything))
    ranks = ops.argsort(ops.argsort(everything))  # 0 for the smallest
    parts = ops.split(ranks >= count, np.cumsum([len(part) for part in sizes])[:-1])
    return [ops.reshape(part, weight.shape) for part, weight in zip(parts, weights)]
'''

KERAS_NUMPY = """
import numpy as np
from keras import ops


def magnitude_masks(weights, sparsity):
    flat = np.concatenate([np.abs(ops.convert_to_numpy(w)).reshape(-1) for w in weights])
    kept = np.full(flat.shape, True)
    kept[flat.argsort(kind="stable")[: int(len(flat) * sparsity)]] = False
    masks = []
    for w in weights:
        count = int(np.prod(w.shape))
        masks.append(ops.convert_to_tensor(kept[:count].reshape(tuple(w.shape))))
        kept = kept[count:]
    return masks
"""

KERAS_TOPK = """
from keras import ops


def magnitude_masks(weights, sparsity):
    flat = ops.concatenate([ops.ravel(ops.convert_to_tensor(w)) for w in weights]) ** 2
    total = int(flat.shape[0])
    keep = total - int(sparsity * total)
    if keep == 0:
        return [ops.zeros(w.shape, dtype="bool") for w in weights]
    best = ops.top_k(flat, keep)[1]
    kept = ops.scatter(best[:, None], ops.ones((keep,), dtype="int32"), (total,))
    masks, start = [], 0
    for w in weights:
        size = w.shape.num_elements() if hasattr(w.shape, "num_elements") else int(ops.size(w))
        masks.append(ops.reshape(ops.cast(kept[start : start + size], "bool"), w.shape))
        start += size
    return masks
"""

MESSAGES = {
    "signed": _("the smallest values go, which are the large negative ones; what counts is how far from 0 they are"),
    "layer-by-layer": _("each layer loses the same share; small weights are to be found in the network as a whole"),
    "largest": _("the largest weights go, and the noise stays"),
    "inverted": _("True marks what is pruned; here it marks what stays"),
    "share-kept": _("the sparsity is taken for the share that stays"),
    "share-of-maximum": _("the threshold is a share of the largest magnitude: how many weights lie below is not fixed"),
    "ties": _("all weights at the threshold go together: where many are equal, far more than asked for"),
    "layer-scaled": _("magnitudes are compared after each layer is scaled by its own largest weight"),
    "numbers": _("the mask consists of numbers; truth values were asked for"),
}
LAYERS = {
    "numpy": "[np.abs(weight).ravel() for weight in weights]",
    "pytorch": "[weight.abs().flatten() for weight in weights]",
    "keras": "[ops.reshape(ops.abs(weight), (-1,)) for weight in weights]",
}
PICK = {
    "numpy": "kept[np.argsort(everything)[:count]] = False",
    "pytorch": "kept[torch.argsort(everything)[:count]] = False",
    "keras": "ranks >= count",
}
SIGNED = {
    "numpy": "[weight.ravel() for weight in weights]",
    "pytorch": "[weight.flatten() for weight in weights]",
    "keras": "[ops.reshape(weight, (-1,)) for weight in weights]",
}
SCALED = {
    "numpy": "[np.abs(weight).ravel() / np.abs(weight).max() for weight in weights]",
    "pytorch": "[(weight.abs() / weight.abs().max()).flatten() for weight in weights]",
    "keras": "[ops.reshape(ops.abs(weight) / ops.max(ops.abs(weight)), (-1,)) for weight in weights]",
}
LAST = "[part.reshape(weight.shape) for part, weight in zip(parts, weights)]"
KERAS_LAST = "[ops.reshape(part, weight.shape) for part, weight in zip(parts, weights)]"
START = "    sizes = "
BY_LAYER = (
    "    if len(weights) > 1:\n        return [magnitude_masks([weight], sparsity)[0] for weight in weights]\n" + START
)
COUNT = "int(sparsity * len(everything))"


def _flat_edits(framework: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """The mistakes of NumPy and PyTorch, whose references mark what goes in a vector."""
    module, pick = {"numpy": "np", "pytorch": "torch"}[framework], PICK[framework]
    ties = f"kept[everything <= {module}.sort(everything)[max(count - 1, 0)]] = False"
    if framework == "pytorch":
        ties = ties.replace("torch.sort(everything)", "torch.sort(everything).values")
    return {
        "largest": ((pick, f"kept[{module}.argsort(-everything)[:count]] = False"),),
        "inverted": ((LAST, LAST.replace("[part", "[~part")),),
        "share-of-maximum": ((pick, "kept[everything < sparsity * everything.max()] = False"),),
        "ties": ((pick, ties),),
        "numbers": (("dtype=bool" if framework == "numpy" else "dtype=torch.bool", "dtype=None"),),
    }


def _keras_edits() -> dict[str, tuple[tuple[str, str], ...]]:
    pick = PICK["keras"]
    return {
        "largest": (("ops.argsort(ops.argsort(everything))", "ops.argsort(ops.argsort(-everything))"),),
        "inverted": ((pick, "ranks < count"),),
        "share-of-maximum": ((pick, "everything >= sparsity * ops.max(everything)"),),
        "ties": ((pick, "everything > ops.sort(everything)[max(count - 1, 0)]"),),
        "numbers": ((pick, 'ops.cast(ranks >= count, "float32")'),),
    }


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {
        "signed": ((LAYERS[framework], SIGNED[framework]),),
        "layer-by-layer": ((START, BY_LAYER),),
        "share-kept": ((COUNT, "len(everything) - int(sparsity * len(everything))"),),
        "layer-scaled": ((LAYERS[framework], SCALED[framework]),),
        **(_keras_edits() if framework == "keras" else _flat_edits(framework)),
    }
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
