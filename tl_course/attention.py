"""Attention maps as plain arrays, whichever framework they come from: what they are, how they are summed up, scored
and compared with other measures of what matters.

`tl_course.pytorch.attention` and `tl_course.keras.attention` get the maps out of a model; `attention_plots` and
`attention_view` draw them. A row is a query and sums to one: weights[layer, n, head, i, j] is the share of its value
that token i takes from token j.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

ROW_TOLERANCE = 2e-3  # how far a row's sum may be from one: float16 weights over 512 tokens stay within it
FLOW_UNITS = 1_000_000  # capacities of the flow graph are whole numbers of these
PIECE = "##"  # how WordPiece marks a piece that continues a word


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of a batch: L layers, N inputs, H heads, T tokens with padding.

    Attributes:
        tokens: for each input its T tokens, padding included.
        weights: float32 (L, N, H, T, T); rows (queries) of real tokens sum to one, padding receives nothing.
        mask: bool (N, T), True for a real token.
        special: bool (N, T), True for tokens that are no part of the text or image: [CLS], [SEP], the class token.
        grid: for images the patches as (rows, columns); None for texts.

    Raises:
        BadInput: the shapes do not fit together, or the rows are no distributions over the real tokens.
    """

    tokens: tuple[tuple[str, ...], ...]
    weights: np.ndarray
    mask: np.ndarray
    special: np.ndarray
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.tokens), len(self.tokens[0]) if self.tokens else 0)
        if self.weights.ndim != 5 or (self.weights.shape[1], *self.weights.shape[3:]) != (*shape, shape[1]):
            raise BadInput(
                _("weights (layers, {n}, heads, {t}, {t}) for {n} inputs of {t} tokens").format(n=shape[0], t=shape[1]),
                _("shape {shape}").format(shape=self.weights.shape),
                _("pass the attentions of every layer, not hidden states"),
            )
        if not self.mask.shape == self.special.shape == shape:
            raise BadInput(
                _("mask and special of shape {shape}").format(shape=shape),
                f"{self.mask.shape} and {self.special.shape}",
                _("give one value a token, padding included"),
            )
        check_rows(self.weights, self.mask)

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        layers, count, heads, length, _keys = self.weights.shape
        return f"AttentionMaps({count} inputs, {layers} layers, {heads} heads, up to {length} tokens)"

    def of(self, index: int = 0) -> np.ndarray:
        """One input's maps without padding: (L, H, t, t), t its real tokens."""
        keep = self._real(index)
        return self.weights[:, index][:, :, keep][..., keep]

    def tokens_of(self, index: int = 0) -> tuple[str, ...]:
        """One input's t tokens, without padding."""
        return tuple(self.tokens[index][position] for position in self._real(index))

    def special_of(self, index: int = 0) -> np.ndarray:
        """Which of `tokens_of` are special: bool (t,)."""
        return self.special[index][self._real(index)]

    def uniform(self) -> "AttentionMaps":
        """The same inputs, every token attending alike to all real tokens: what chance scores."""
        share = self.mask / self.mask.sum(axis=1, keepdims=True)  # (N, T)
        weights = np.broadcast_to(share[None, :, None, None, :].astype(np.float32), self.weights.shape)
        return AttentionMaps(self.tokens, weights, self.mask, self.special, self.grid)

    def _real(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise BadInput(
                _("an input from 0 to {last}").format(last=len(self) - 1),
                str(index),
                _("the maps hold no more"),
            )
        return np.flatnonzero(self.mask[index])


def check_rows(weights: np.ndarray, mask: np.ndarray) -> None:
    """Refuse what is no attention: rows of real tokens are non-negative, sum to one and leave padding out.

    Args:
        weights: (L, N, H, T, T).
        mask: bool (N, T).
    """
    of_real = np.moveaxis(weights, 3, 2)[:, mask]  # (L, real queries, H, T)
    if of_real.size == 0 or not np.isfinite(of_real).all() or of_real.min() < 0:
        raise BadInput(
            _("attention weights from 0 to 1"),
            _("negative, missing or infinite ones"),
            _("take the model's attentions: hidden states and scores before the softmax are something else"),
        )
    off = float(np.abs(of_real.sum(axis=-1) - 1).max())
    if off > ROW_TOLERANCE:
        raise BadInput(
            _("rows that sum to one"),
            _("rows that are off by up to {off:.3g}").format(off=off),
            _("run the model in evaluation mode (dropout breaks the sums) and take the weights after the softmax"),
        )
    keys = np.broadcast_to(~mask[None, :, None, None, :], weights.shape)
    to_padding = np.where(keys, weights, 0).sum(axis=-1)
    if np.moveaxis(to_padding, 3, 2)[:, mask].max(initial=0) > ROW_TOLERANCE:
        raise BadInput(
            _("no attention to padding"),
            _("tokens that attend to it"),
            _("pass the tokenizer's attention_mask to the model together with input_ids"),
        )


def rollout(weights: np.ndarray, residual: float = 0.5) -> np.ndarray:
    """Attention multiplied through the layers, the residual connection included (Abnar & Zuidema, 2020).

    The product of (1 - r) A + r I over the layers, A averaged over heads.

    Args:
        weights: (L, H, t, t), one input without padding.
        residual: r, the share of each layer that is passed by; 0.5 in the paper.

    Returns:
        (t, t): row i says how much of token i at the top comes from each input token; rows sum to one.
    """
    maps = _one_input(weights).mean(axis=1)
    if not 0 <= residual < 1:
        raise BadInput(_("residual from 0 to below 1"), f"{residual:g}", _("0.5 gives both paths the same share"))
    total = np.eye(maps.shape[-1])
    for layer in maps:
        total = ((1 - residual) * layer + residual * np.eye(len(layer))) @ total
    return total


def attention_flow(weights: np.ndarray, query: int, residual: float = 0.5) -> np.ndarray:
    """How much can flow from each input token up to one token at the top (Abnar & Zuidema, 2020).

    Layers are a network of pipes with capacities (1 - r) A + r I, A averaged over heads; the value is the maximum flow.

    Args:
        weights: (L, H, t, t), one input without padding.
        query: the token at the top.
        residual: r, as in `rollout`.

    Returns:
        (t,) in [0, 1]; no distribution: one pipe may serve several flows, one at a time.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_flow

    maps = _one_input(weights).mean(axis=1)
    layers, length = maps.shape[:2]
    if not 0 <= query < length:
        raise BadInput(_("a token from 0 to {last}").format(last=length - 1), str(query), _("choose one of the rows"))
    capacity = np.rint(((1 - residual) * maps + residual * np.eye(length)) * FLOW_UNITS).astype(np.int32)
    layer, upper, lower = np.nonzero(capacity)  # node (layer + 1, upper) draws from node (layer, lower)
    edges = ((layer + 1) * length + upper, layer * length + lower)
    size = (layers + 1) * length
    graph = coo_array((capacity[layer, upper, lower], edges), shape=(size, size)).tocsr()
    top = layers * length + query
    return np.array([maximum_flow(graph, top, token).flow_value for token in range(length)]) / FLOW_UNITS


def merge_pieces(weights: np.ndarray, tokens: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Whole words instead of WordPieces: attention *to* a word is summed, *from* a word averaged (Clark et al., 2019).

    Args:
        weights: (..., t, t), one input without padding.
        tokens: t tokens; those that continue a word start with "##".

    Returns:
        weights (..., w, w), rows still summing to one, and the w words.
    """
    word = np.cumsum([not (token.startswith(PIECE) and position) for position, token in enumerate(tokens)]) - 1
    member = (word[:, None] == np.arange(word[-1] + 1)).astype(weights.dtype)  # (t, w)
    words = ["" for _column in member.T]
    for position, token in zip(word, tokens, strict=True):
        words[position] += token.removeprefix(PIECE) if words[position] else token
    return (member / member.sum(axis=0)).T @ weights @ member, tuple(words)


def previous_token(maps: AttentionMaps) -> np.ndarray:
    """Mean attention from a token to the one before it, (L, H); special tokens and padding are left out."""
    return _score(maps, lambda content, _words: np.eye(len(content), k=-1, dtype=bool))


def next_token(maps: AttentionMaps) -> np.ndarray:
    """Mean attention from a token to the one after it, (L, H); special tokens and padding are left out."""
    return _score(maps, lambda content, _words: np.eye(len(content), k=1, dtype=bool))


def first_token(maps: AttentionMaps) -> np.ndarray:
    """Mean attention from a token to the special token at the start ([CLS], the class token), (L, H)."""
    return _to_special(maps, slice(None, 1))


def separator(maps: AttentionMaps) -> np.ndarray:
    """Mean attention from a token to the separators, (L, H): the special tokens but the first ([SEP], not [CLS])."""
    return _to_special(maps, slice(1, None))


def repeated_token(maps: AttentionMaps) -> np.ndarray:
    """Mean attention from a token to other places where the same token stands, (L, H); special tokens left out."""
    return _score(maps, lambda _content, words: (words[:, None] == words) & ~np.eye(len(words), dtype=bool))


def entropy(maps: AttentionMaps) -> np.ndarray:
    """Mean entropy of a token's attention as a share of the largest possible, (L, H): 0 one token, 1 all alike."""
    scores = []
    for index in range(len(maps)):
        rows = maps.of(index)[:, :, ~maps.special_of(index)].astype(np.float64)
        bits = -(rows * np.log(np.where(rows > 0, rows, 1))).sum(axis=-1)
        scores.append(bits / np.log(max(2, rows.shape[-1])))
    return np.concatenate(scores, axis=-1).mean(axis=-1)


def received(weights: np.ndarray, query: int | None = None) -> np.ndarray:
    """One number a token: what it receives, averaged over layers and heads.

    Args:
        weights: (..., t, t), one input without padding: all layers, one layer, one head, or a rollout.
        query: only from this token, as [CLS] for models that read it; None: averaged over all, for mean pooling.

    Returns:
        (t,), summing to one.
    """
    rows = weights.reshape(-1, *weights.shape[-2:]).mean(axis=0)
    return rows.mean(axis=0) if query is None else rows[query]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two rankings of the same tokens: 1 the same order, 0 unrelated, -1 reversed.

    NaN where one of them does not rank at all (all values alike). Values at least two.
    """
    from scipy.stats import kendalltau

    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise BadInput(_("two arrays (t,), t at least 2"), f"{a.shape} and {b.shape}", _("rank the same tokens twice"))
    return float(kendalltau(a, b).statistic)


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far apart two attentions are, over the last axis: 0 the same, 1 nothing in common."""
    return 0.5 * np.abs(np.asarray(first) - np.asarray(second)).sum(axis=-1)


def _one_input(weights: np.ndarray) -> np.ndarray:
    if weights.ndim != 4 or weights.shape[-1] != weights.shape[-2]:
        raise BadInput(
            _("one input's maps (layers, heads, t, t)"),
            _("shape {shape}").format(shape=weights.shape),
            _("take maps.of(index), which drops the padding"),
        )
    return weights.astype(np.float64)


def _to_special(maps: AttentionMaps, places: slice) -> np.ndarray:
    """Mean attention (L, H) of content tokens to the special tokens at these places of the input."""
    scores = []
    for index in range(len(maps)):
        special, sinks = maps.special_of(index), np.zeros(len(maps.special_of(index)), dtype=bool)
        sinks[places] = special[places]
        scores.append(maps.of(index)[:, :, ~special][..., sinks].sum(axis=-1))
    return np.concatenate(scores, axis=-1).mean(axis=-1)


def _score(maps: AttentionMaps, wanted: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Mean attention (L, H) to the wanted tokens, over all content tokens for which there is one.

    Args:
        maps: any number of inputs.
        wanted: (content bool (t,), words (t,)) -> bool (t, t), which key each query is asked about.
    """
    scores = []
    for index in range(len(maps)):
        content, words = ~maps.special_of(index), np.array(maps.tokens_of(index))
        keys = wanted(content, words) & content & content[:, None]
        asked = keys.any(axis=1)
        scores.append((maps.of(index) * keys).sum(axis=-1)[:, :, asked])
    every = np.concatenate(scores, axis=-1)
    if every.shape[-1] == 0:
        raise BadInput(
            _("at least one token that has what is asked for"),
            _("none in {count} inputs").format(count=len(maps)),
            _("give more or longer texts"),
        )
    return every.mean(axis=-1)
