"""Tasks that images set for themselves, without labels: which way is up, and which two views belong together."""

from typing import Any

import numpy as np
from keras import ops

from tl_course.pretext import check_square, check_views

Tensor = Any
"""A tensor of whichever backend Keras runs on."""


def rotation_batch(images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Turn each image by a random multiple of 90 degrees; the class is how often (RotNet: Gidaris et al., 2018).

    Args:
        images: (N, S, S, C), square.
        rng: draws the turns.

    Returns:
        The turned images (N, S, S, C), and labels int64 (N,): 0 to 3 quarter turns, anticlockwise.

    Raises:
        BadInput: images that are not square.
    """
    check_square(tuple(images.shape), height=1)
    turns = rng.integers(0, 4, size=len(images))
    turned = ops.stack([ops.rot90(images, k, axes=(1, 2)) for k in range(4)])  # (4, N, S, S, C)
    flat = ops.reshape(turned, (-1, *images.shape[1:]))  # (4 N, S, S, C)
    return ops.take(flat, turns * len(images) + np.arange(len(images)), axis=0), ops.convert_to_tensor(turns, "int64")


def nt_xent(z1: Tensor, z2: Tensor, temperature: float = 0.5) -> Tensor:
    """SimCLR's loss: among 2 N views, find the other view of the same image (Chen et al., 2020, equation 1).

        mean over the 2 N views i of   -log  exp(s(i, partner of i) / t)  /  sum over k != i of exp(s(i, k) / t)

    with s the cosine similarity and t the temperature. A view is never compared with itself.

    Args:
        z1, z2: (N, D), two views of the same N images in the same order; N at least 2.
        temperature: above 0; the smaller, the more the hardest other views count.

    Returns:
        A scalar.

    Raises:
        BadInput: views that do not go together, fewer than two images, or a temperature that is not above 0.
    """
    check_views(tuple(z1.shape), tuple(z2.shape), temperature)
    z = ops.normalize(ops.concatenate([z1, z2]), axis=1)  # (2N, D)
    count = ops.shape(z1)[0]
    itself = ops.eye(2 * count, dtype="bool")
    similarity = ops.where(itself, -1e9, ops.matmul(z, ops.transpose(z)) / temperature)  # (2N, 2N)
    partner = (ops.arange(2 * count) + count) % (2 * count)  # i + N, i - N in the second half
    return ops.mean(ops.sparse_categorical_crossentropy(partner, similarity, from_logits=True))
