"""Tasks that images set for themselves, without labels: which way is up, and which two views belong together."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tl_course.pretext import check_square, check_views


def rotation_batch(images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Turn each image by a random multiple of 90 degrees; the class is how often (RotNet: Gidaris et al., 2018).

    Args:
        images: (N, C, S, S), square.
        rng: draws the turns.

    Returns:
        The turned images (N, C, S, S), and labels int64 (N,): 0 to 3 quarter turns, anticlockwise.

    Raises:
        BadInput: images that are not square.
    """
    check_square(tuple(images.shape), height=2)
    turns = torch.from_numpy(rng.integers(0, 4, size=len(images))).to(images.device)
    turned = torch.stack([images.rot90(k, dims=(2, 3)) for k in range(4)])  # (4, N, C, S, S)
    return turned[turns, torch.arange(len(images), device=images.device)], turns


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
    z = functional.normalize(torch.cat([z1, z2]), dim=1)  # (2N, D)
    similarity = (z @ z.T / temperature).fill_diagonal_(float("-inf"))  # (2N, 2N)
    partner = torch.arange(len(z), device=z.device).roll(len(z1))  # i + N, i - N in the second half
    return functional.cross_entropy(similarity, partner)
