"""A split as a torch DataLoader or a tf.data.Dataset."""

from typing import TYPE_CHECKING

import numpy as np

from tl_course.data.dataset import Split
from tl_course.errors import BadInput
from tl_course.i18n import _

if TYPE_CHECKING:
    import tensorflow as tf
    import torch


def to_torch(
    split: Split, batch_size: int = 32, shuffle: bool = False, seed: int = 0
) -> "torch.utils.data.DataLoader[tuple[torch.Tensor, ...]]":
    """Batches (x, y) for PyTorch: images float32 (N, C, H, W) in [0, 1], labels int64 (N,).

    Features of shape (N, D) stay as they are. With `shuffle` every epoch has another order; a new loader with the
    same seed gives the same orders again. The last batch may be smaller. The images are copied once.

    Raises:
        BadInput: texts (tokenise them first), or batch_size below 1.
    """
    _check(split, batch_size)
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x = torch.tensor(split.x, dtype=torch.float32)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    data = TensorDataset(x, torch.tensor(split.y, dtype=torch.int64))
    return DataLoader(data, batch_size=batch_size, shuffle=shuffle, generator=torch.Generator().manual_seed(seed))


def to_tf(split: Split, batch_size: int = 32, shuffle: bool = False, seed: int = 0) -> "tf.data.Dataset":
    """Batches (x, y) for TensorFlow and Keras: images float32 (N, H, W, C) in [0, 1], labels int64 (N,).

    With `shuffle` every epoch has another order; a new data set with the same seed gives the same orders again (they
    also depend on tf.random.set_seed where you call it). The last batch may be smaller. The images are copied once.

    Raises:
        BadInput: texts (tokenise them first), or batch_size below 1.
    """
    _check(split, batch_size)
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((np.asarray(split.x, np.float32), np.asarray(split.y, np.int64)))
    if shuffle:
        data = data.shuffle(len(split), seed=seed, reshuffle_each_iteration=True)
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _check(split: Split, batch_size: int) -> None:
    if split.x.dtype.kind in "UO":
        raise BadInput(
            _("numbers: images (N, H, W, C) or features (N, D)"),
            _("texts"),
            _("tokenise them, or extract features first: zoo.load('minilm').features(split.x.tolist())"),
        )
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise BadInput(
            _("batch_size as an integer of at least 1"), repr(batch_size), _("pass for example batch_size=32")
        )
