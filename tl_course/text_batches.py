"""Texts as token ids in batches: like lengths together, padded to the longest of the batch and no further."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tl_course.errors import BadInput
from tl_course.fit_options import batch_sizes
from tl_course.i18n import _

AT_ONCE = 32
"""Texts that are run at once where nothing is trained."""

Pooling = Literal["mean", "cls"]
"""One vector of a text's token vectors: their mean, padding left out, or the first."""

POOL = 32
"""Batches whose texts are sorted by length together in training: enough to save padding, few enough to stay random."""


def length_buckets(
    lengths: Sequence[int] | np.ndarray, batch_size: int, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Which texts go into which batch: like lengths together, so that little is padded.

    Without `rng`, for prediction: longest first, so that a batch too large for the memory is found at once. With it,
    for training: the texts are shuffled, sorted by length within pools of 32 batches, cut into batches, and the batches
    shuffled. So every epoch has other batches, and long ones come at any time.

    Args:
        lengths: (N,) tokens of each text.
        batch_size: texts in a batch. A single text left over joins the batch before it.
        rng: draws the order.

    Returns:
        Index arrays int64; together every index from 0 to N - 1 once.

    Raises:
        BadInput: no text, or batch_size below 1.
    """
    lengths = np.asarray(lengths)
    if lengths.ndim != 1 or len(lengths) == 0 or batch_size < 1:
        raise BadInput(
            _("lengths (N,) of at least one text, and batch_size of at least 1"),
            _("shape {shape} and batch_size={size}").format(shape=lengths.shape, size=batch_size),
            _("pass [len(ids) for ids in token_ids], batch_size=32"),
        )
    cuts = np.cumsum(batch_sizes(len(lengths), batch_size))[:-1]
    if rng is None:
        return np.split(np.argsort(-lengths, kind="stable"), cuts)
    order = rng.permutation(len(lengths))
    step = POOL * batch_size
    pools = [order[start : start + step] for start in range(0, len(order), step)]
    order = np.concatenate([pool[np.argsort(-lengths[pool], kind="stable")] for pool in pools])
    batches = np.split(order, cuts)
    return [batches[i] for i in rng.permutation(len(batches))]


def token_buckets(lengths: Sequence[int] | np.ndarray, batch_size: int, positions: int) -> list[np.ndarray]:
    """Batches for prediction that hold about the same number of tokens: many short texts, or few long ones.

    On a processor a batch's time grows with its positions, padding included, and small batches are as fast as large
    ones; so batches are kept small, where nearly equal lengths meet and next to nothing is padded.

    Args:
        lengths: (N,) tokens of each text.
        batch_size: texts in a batch, at most.
        positions: in a batch, padding included, at most; a longer text is a batch of its own.

    Returns:
        Index arrays int64, longest texts first; together every index from 0 to N - 1 once.

    Raises:
        BadInput: as `length_buckets`, or positions below 1.
    """
    if positions < 1:
        raise BadInput(_("positions of at least 1"), str(positions), _("512 is a good start"))
    order = np.concatenate(length_buckets(lengths, batch_size))
    longest_first = np.asarray(lengths)[order]
    batches, start = [], 0
    while start < len(order):
        count = min(batch_size, max(1, positions // max(1, int(longest_first[start]))))
        batches.append(order[start : start + count])
        start += count
    return batches


def pad(ids: Sequence[Sequence[int] | np.ndarray], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of several texts as one array: dynamic padding, to the longest of these texts.

    Args:
        ids: n lists of token ids.
        pad_id: fills the rest of each row, on the right.

    Returns:
        input_ids int64 (n, L) and attention_mask int64 (n, L), 1 for a token and 0 for padding; L is the longest.
    """
    lengths = np.array([len(row) for row in ids])
    mask = np.arange(lengths.max(initial=0)) < lengths[:, None]  # (n, L)
    input_ids = np.full(mask.shape, pad_id, dtype=np.int64)
    if len(ids):
        input_ids[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in ids])
    return input_ids, mask.astype(np.int64)


def padding_share(lengths: Sequence[int] | np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Share of all positions that is padding, from 0 to below 1, when each batch is padded to its longest text.

    Args:
        lengths: (N,) tokens of each text.
        batches: index arrays, as `length_buckets` gives.
    """
    lengths = np.asarray(lengths)
    positions = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - sum(int(lengths[batch].sum()) for batch in batches) / positions


FEWEST_TOKENS = 3
"""The two special tokens around a text, and one of the text."""


def check_max_tokens(max_tokens: int, most: int) -> int:
    """The limit, when it is one that an encoder of `most` tokens can have. Raises BadInput otherwise."""
    if not FEWEST_TOKENS <= max_tokens <= most:
        expected = _("max_tokens from {fewest} to {most}").format(fewest=FEWEST_TOKENS, most=most)
        raise BadInput(expected, str(max_tokens), _("cut longer texts into parts"))
    return max_tokens


def check_text_head(pooling: str, dropout: float) -> None:
    """Raise BadInput for an unknown pooling or a dropout out of range."""
    if pooling not in ("mean", "cls"):
        raise BadInput(_("pooling 'mean' or 'cls'"), repr(pooling), _("'mean' is a good start"))
    if not 0 <= dropout < 1:
        raise BadInput(_("dropout from 0 to below 1"), str(dropout), _("0.1 is usual"))
